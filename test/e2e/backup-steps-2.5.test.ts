import { backupSteps } from './backup-steps/all';

backupSteps('2.5.3');
