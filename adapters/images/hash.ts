import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInterface } from 'node:readline';
import { DrydockError } from '../../domain/errors';
import { commandFailed } from '../host/exec';
import type { Host } from '../host/host';
import { volumeRoot, type StreamOptions } from './volume';

/** A large blob on a slow disk prints nothing for long. */
const HASH_STALL_MS = 60 * 60 * 1000;
/** xargs: some of the commands ended with an error, here for files that are missing or cannot be read. */
const XARGS_SOME_FAILED = 123;

/**
 * SHA-256 (hex) of files where they lie, in the order asked for. A file that is missing or cannot be read is left out.
 * `paths` are relative to the volume's root.
 */
export async function* hashFiles(host: Host, root: string, paths: Iterable<string>, options: StreamOptions = {}): AsyncGenerator<{ path: string; sha256: string }> {
  const volume = volumeRoot(root);
  const command = [...(options.priority ?? []), 'xargs', '-0', '-r', 'sha256sum', '--'];
  const process = await host.spawn(command, { ...options, stallMs: HASH_STALL_MS });
  const feeding = pipeline(Readable.from(absoluteNames(volume, paths)), process.stdin).catch(() => undefined);
  try {
    for await (const line of createInterface({ input: process.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      const found = parseLine(line);
      if (!found.path.startsWith(`${volume}/`)) throw new DrydockError('IntegrityMismatch', `${host.name}: sha256sum answered for ${found.path}`, { remedy: 'look at the host' });
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

/** `<hex>  <name>`; a leading backslash means that the name is escaped. */
function parseLine(line: string): { path: string; sha256: string } {
  const match = /^(\\?)([0-9a-f]{64}) [ *](.+)$/.exec(line);
  if (!match) throw new DrydockError('IntegrityMismatch', `sha256sum printed a line that is not a digest: ${line.slice(0, 100)}`, { remedy: 'look at the host' });
  const [, escaped, sha256, name] = match;
  const path = escaped === '' ? name! : name!.replace(/\\([\\n])/g, (_, letter: string) => (letter === 'n' ? '\n' : '\\'));
  return { path, sha256: sha256! };
}
