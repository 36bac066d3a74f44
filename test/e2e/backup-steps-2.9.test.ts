import { backupSteps } from './backup-steps/all';

backupSteps('2.9.4');
