import path from 'node:path';
import { Worker } from 'node:worker_threads';

/** Starts the module `name` of `directory` in a thread of its own. Run from source, it needs the loader that we were started with. */
export function startThread(directory: string, name: string): Worker {
  const file = path.join(directory, `${name}${path.extname(__filename)}`);
  if (!file.endsWith('.ts')) return new Worker(file);
  return new Worker(`require('tsx/cjs'); require(${JSON.stringify(file)})`, { eval: true, execArgv: [] });
}
