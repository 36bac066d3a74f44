/** What an engine says while it pulls: JSON objects, one a line; an error stands among them, after a status of 200. */
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { DrydockError } from '../../domain/errors';

/** Reads the progress of a pull to its end. Returns the error that it tells, if any. */
export async function readProgress(progress: Readable): Promise<string | undefined> {
  let failed: string | undefined;
  for await (const line of createInterface({ input: progress, crlfDelay: Number.POSITIVE_INFINITY })) failed = errorIn(line) ?? failed;
  return failed;
}

export function notPulled(reference: string, why: string): DrydockError {
  return new DrydockError('NotFound', `the image ${reference} cannot be pulled: ${why}`, { remedy: 'load it with `docker load` on the nodes, or let them reach its registry' });
}

function errorIn(line: string): string | undefined {
  try {
    const { error } = JSON.parse(line) as { error?: unknown };
    return typeof error === 'string' ? error.slice(0, 300) : undefined;
  } catch {
    return undefined;
  }
}
