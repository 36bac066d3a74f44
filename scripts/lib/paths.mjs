/** Places that set-up uses, all inside the clone. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
export const STATE = path.join(ROOT, '.drydock');
/** Programs that set-up fetched or built. */
export const BIN = path.join(STATE, 'bin');
export const ENGINE_DIR = path.join(STATE, 'engine');
export const inRoot = (...parts) => path.join(ROOT, ...parts);
