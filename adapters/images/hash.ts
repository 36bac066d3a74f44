import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInterface } from 'node:readline';
import { DrydockError } from '../../domain/errors';
import { commandFailed } from '../host/exec';
import type { Host } from '../host/host';
import { merge } from '../stream/merge';
import { volumeRoot, type StreamOptions } from './volume';

/** A large blob on a slow disk prints nothing for long. */
const HASH_STALL_MS = 60 * 60 * 1000;
/** xargs: some of the commands ended with an error, here for files that are missing or cannot be read. */
const XARGS_SOME_FAILED = 123;

/** OpenSSL uses the processor's own instructions, which coreutils often do not: four times as fast. */
const HASHER =
  'if openssl dgst -sha256 -r /dev/null >/dev/null 2>&1; then exec "$@" xargs -0 -r openssl dgst -sha256 -r; else exec "$@" xargs -0 -r sha256sum --; fi';
/** Of hosts that were asked. */
const cores = new WeakMap<Host, number>();
/** A command more for fewer files costs more than it brings. */
const FILES_PER_STREAM = 4;
const MOST_STREAMS = 4;

export interface HashOptions extends StreamOptions {
  streams?: number;
  /** In bytes, where it is known: then all commands end at about the same time. */
  sizeOf?: (path: string) => number;
}

/**
 * SHA-256 (hex) of files where they lie, by as many commands side by side as the host has cores (four at most, or `streams`), so in no certain order. A
 * file that is missing or cannot be read is left out. `paths` are relative to the volume's root.
 */
export async function* hashFiles(host: Host, root: string, paths: Iterable<string>, options: HashOptions = {}): AsyncGenerator<{ path: string; sha256: string }> {
  const volume = volumeRoot(root);
  const all = [...paths];
  if (all.length === 0) return;
  const streams = Math.min(options.streams ?? (await coresOf(host, options.signal)), MOST_STREAMS, Math.ceil(all.length / FILES_PER_STREAM));
  const shares = dealOut(all, streams, options.sizeOf ?? (() => 1));
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  yield* merge(shares.map((share) => hashShare(host, volume, share, { ...options, signal })), () => stop.abort());
}

/** The largest first, each to the share that has least. */
function dealOut(paths: string[], streams: number, sizeOf: (path: string) => number): string[][] {
  const shares = Array.from({ length: streams }, () => ({ bytes: 0, paths: [] as string[] }));
  const sized = paths.map((path) => ({ path, bytes: sizeOf(path) })).sort((a, b) => b.bytes - a.bytes);
  for (const { path, bytes } of sized) {
    const least = shares.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.paths.push(path);
    least.bytes += bytes;
  }
  return shares.map((share) => share.paths);
}

async function coresOf(host: Host, signal?: AbortSignal): Promise<number> {
  const known = cores.get(host);
  if (known !== undefined) return known;
  const { stdout, code } = await host.exec(['nproc'], { okCodes: [0, 1, 127], signal });
  const found = code === 0 ? Math.max(1, Number.parseInt(stdout, 10) || 1) : 1;
  cores.set(host, found);
  return found;
}

async function* hashShare(host: Host, volume: string, paths: string[], options: StreamOptions): AsyncGenerator<{ path: string; sha256: string }> {
  const command = ['sh', '-c', HASHER, 'sh', ...(options.priority ?? [])];
  const process = await host.spawn(command, { signal: options.signal, stallMs: HASH_STALL_MS });
  const feeding = pipeline(Readable.from(absoluteNames(volume, paths)), process.stdin).catch(() => undefined);
  try {
    for await (const line of createInterface({ input: process.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      const found = parseLine(line);
      if (!found.path.startsWith(`${volume}/`)) throw new DrydockError('IntegrityMismatch', `${host.name}: a digest came for ${found.path}, which was not asked for`, { remedy: 'look at the host' });
      yield { path: found.path.slice(volume.length + 1), sha256: found.sha256 };
    }
    await feeding;
    const exit = await process.exit;
    if (exit.code !== 0 && exit.code !== XARGS_SOME_FAILED) throw commandFailed(host.name, command, exit);
  } finally {
    await process.kill();
  }
}

function* absoluteNames(volume: string, paths: Iterable<string>): Generator<Buffer> {
  let batch: string[] = [];
  for (const path of paths) {
    batch.push(`${volume}/${path}\0`);
    if (batch.length < 500) continue;
    yield Buffer.from(batch.join(''));
    batch = [];
  }
  if (batch.length > 0) yield Buffer.from(batch.join(''));
}

/** `<hex>  <name>` or `<hex> *<name>`; a leading backslash means that the name is escaped. */
function parseLine(line: string): { path: string; sha256: string } {
  const match = /^(\\?)([0-9a-f]{64}) [ *](.+)$/.exec(line);
  if (!match) throw new DrydockError('IntegrityMismatch', `what should be a digest is: ${line.slice(0, 100)}`, { remedy: 'look at the host' });
  const [, escaped, sha256, name] = match;
  const path = escaped === '' ? name! : name!.replace(/\\([\\n])/g, (_, letter: string) => (letter === 'n' ? '\n' : '\\'));
  return { path, sha256: sha256! };
}
