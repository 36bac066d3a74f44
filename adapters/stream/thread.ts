import path from 'node:path';
import { SHARE_ENV, Worker, type WorkerOptions } from 'node:worker_threads';
import { DrydockError, type ErrorKind } from '../../domain/errors';

/** Starts the module `name` of `directory` in a thread of its own. Run from source, it needs the loader that we were started with. */
export function startThread(directory: string, name: string): Worker {
  const file = path.join(directory, `${name}${path.extname(__filename)}`);
  // Secrets may be named by environment variables, which are looked up when they are needed.
  const options: WorkerOptions = { env: SHARE_ENV, execArgv: [] };
  if (!file.endsWith('.ts')) return new Worker(file, options);
  return new Worker(`require(${JSON.stringify(process.env.DRYDOCK_TYPESCRIPT ?? 'tsx/cjs')}); require(${JSON.stringify(file)})`, { ...options, eval: true });
}

/** A DrydockError on its way between threads, where only plain data arrives whole. */
export interface ThreadFailure {
  kind: ErrorKind;
  message: string;
  remedy?: string;
  details?: Record<string, unknown>;
}

/** Throws any other error again: it is a defect, and ends the thread. */
export function failureOf(error: unknown): ThreadFailure {
  if (!(error instanceof DrydockError)) throw error;
  const { kind, message, remedy, details } = error;
  return { kind, message, ...(remedy === undefined ? {} : { remedy }), ...(details === undefined ? {} : { details }) };
}

export function errorOf({ kind, message, remedy, details }: ThreadFailure): DrydockError {
  return new DrydockError(kind, message, { ...(remedy === undefined ? {} : { remedy }), ...(details === undefined ? {} : { details }) });
}
