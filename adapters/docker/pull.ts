/** What an engine says while it pulls: JSON objects, one a line; an error stands among them, after a status of 200. */
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { DrydockError } from '../../domain/errors';
import { StallWatch } from '../stream/stall';

/** How far a pull is: bytes of the layers that have been named so far, and the last words. */
export interface PullProgress {
  bytesDone: number;
  bytesTotal: number;
  status: string;
}

/** A pull is patient: each word of the engine begins this anew. UCP says nothing between a node's first word and its last. */
export const PULL_SILENCE_MS = 60 * 60_000;
const SHOWN = 300;

interface Layer {
  done: number;
  total: number;
}

/**
 * Reads the progress of a pull to its end. Returns the error that it tells, if any; a pull that says nothing for `silenceMs` is Stalled.
 */
export async function readProgress(progress: Readable, onProgress: (progress: PullProgress) => void = () => undefined, silenceMs = PULL_SILENCE_MS): Promise<string | undefined> {
  const layers = new Map<string, Layer>();
  let failed: string | undefined;
  const stalled = new DrydockError('Stalled', `the pull said nothing for ${Math.round(silenceMs / 60_000)} min`, { remedy: 'look at the engine of the node, and at its way to the registry of the image' });
  const watch = new StallWatch(silenceMs, () => progress.destroy(stalled));
  try {
    for await (const line of createInterface({ input: progress, crlfDelay: Number.POSITIVE_INFINITY })) {
      watch.touch();
      const said = parse(line);
      failed = said.error ?? failed;
      if (said.id !== undefined) note(layers, said.id, said);
      onProgress({ bytesDone: sum(layers, 'done'), bytesTotal: sum(layers, 'total'), status: [said.id, said.status].filter((part) => part !== undefined).join(': ') });
    }
  } finally {
    watch.stop();
  }
  // Readline ends quietly where its input broke.
  if (progress.errored) throw progress.errored;
  return failed;
}

export function notPulled(reference: string, why: string): DrydockError {
  return new DrydockError('NotFound', `the image ${reference} cannot be pulled: ${why}`, { remedy: 'load it with `docker load` on the nodes, or let them reach its registry' });
}

interface Said {
  error?: string;
  id?: string;
  status?: string;
  current?: number;
  total?: number;
}

function note(layers: Map<string, Layer>, id: string, { status = '', current, total }: Said): void {
  const layer = layers.get(id);
  // What is unpacked has come already; its bytes are not those of the way.
  if (status === 'Downloading' && current !== undefined) layers.set(id, { done: current, total: Math.max(total ?? 0, current) });
  else if (layer !== undefined && /complete|^Verifying|^Extracting/.test(status)) layer.done = layer.total;
}

function sum(layers: Map<string, Layer>, field: keyof Layer): number {
  let all = 0;
  for (const layer of layers.values()) all += layer[field];
  return all;
}

function parse(line: string): Said {
  try {
    const { error, id, status, progressDetail } = JSON.parse(line) as Record<string, unknown>;
    const { current, total } = (typeof progressDetail === 'object' && progressDetail !== null ? progressDetail : {}) as Record<string, unknown>;
    return {
      ...(typeof error === 'string' ? { error: error.slice(0, SHOWN) } : {}),
      ...(typeof id === 'string' ? { id: id.slice(0, SHOWN) } : {}),
      ...(typeof status === 'string' ? { status: status.slice(0, SHOWN) } : {}),
      ...(typeof current === 'number' ? { current } : {}),
      ...(typeof total === 'number' ? { total } : {}),
    };
  } catch {
    return {};
  }
}
