import { openedByGpg } from '../helpers/opened-by-gpg';

openedByGpg('2.2');
