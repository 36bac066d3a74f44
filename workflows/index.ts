export { backup } from './backup';
export { restore } from './restore';
export { verify } from './verify';
export { reconcile } from './reconcile';
export { lock } from './lock';
