export { backup } from './backup';
export { restore } from './restore';
export { reconcile } from './reconcile';
export { lock } from './lock';
