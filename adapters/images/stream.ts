/** Blobs out of a registry volume: one remote tar that reads in the order we ask for. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BLOBS_ROOT } from '../../domain/layout';
import { readTar } from '../archive/tar-entries';
import type { Host, RemoteProcess } from '../host/host';
import { Complaints } from './complaints';
import { volumeRoot, type StreamOptions } from './volume';

export interface StreamedBlob {
  /** Relative to the volume's root. */
  path: string;
  /** As it was when tar opened the file; so many bytes come, zeros where the file shrank. */
  size: number;
  /** Must be read before the next blob is asked for; what is not read is skipped. The memory of a piece is used again when the next is asked for. */
  data: AsyncIterable<Buffer>;
}

export interface StreamBlobsOptions extends StreamOptions {
  /** Called at the end for each blob that changed or could not be read while it passed: its bytes are not to be trusted. */
  onTorn?: (path: string) => void;
}

/** 128 KiB at a time: small writes cost round trips in the SSH window. */
const TAR_RECORD = '256';

/**
 * Yields the named blobs that are there; one that vanished is simply not among them. `paths` are relative to the volume's root and of a
 * blob layout. The bytes are not checked here. Throws when tar fails for another reason than files that went or changed.
 */
export async function* streamBlobs(host: Host, root: string, paths: Iterable<string>, options: StreamBlobsOptions = {}): AsyncGenerator<StreamedBlob> {
  const { onTorn, priority = [], ...spawnOptions } = options;
  // Relative to the blobs' own root, all names fit into a plain header; full paths would need an extended one each.
  const command = [
    ...priority, 'tar', '-C', `${volumeRoot(root)}/${BLOBS_ROOT}`, '--format=posix', '--pax-option=delete=atime,delete=ctime,delete=mtime',
    '--numeric-owner', '--hard-dereference', '--no-recursion', '-b', TAR_RECORD, '-cf', '-', '--null', '--no-unquote', '-T', '-',
  ];
  const complaints = new Complaints();
  const process = await host.spawn(command, { ...spawnOptions, onStderr: complaints.take });
  // A tar that ends early says why on standard error; the broken pipe says less.
  const feeding = pipeline(Readable.from(names(paths)), process.stdin).catch(() => undefined);
  try {
    try {
      for await (const entry of readTar(outputOf(process))) {
        if (entry.type === 'file') yield { path: `${BLOBS_ROOT}/${entry.name}`, size: entry.size, data: entry.data };
      }
    } catch (error) {
      // When tar or the connection died in the middle, their own words are the better error.
      const exit = await process.exit;
      if (process.stdout.readableEnded) complaints.sorted(host.name, command, exit, []);
      throw error;
    }
    await feeding;
    for (const { path } of complaints.sorted(host.name, command, await process.exit, [1, 2])) onTorn?.(`${BLOBS_ROOT}/${path}`);
  } finally {
    await process.kill();
  }
}

/** What has been read is given back: so the same memory carries a whole registry. */
async function* outputOf(process: RemoteProcess): AsyncGenerator<Buffer> {
  for await (const piece of process.stdout as AsyncIterable<Buffer>) {
    yield piece;
    process.giveBack?.(piece);
  }
}

const NAMES_PER_WRITE = 500;

function* names(paths: Iterable<string>): Generator<Buffer> {
  let batch: string[] = [];
  for (const path of paths) {
    if (!path.startsWith(`${BLOBS_ROOT}/`)) throw new Error(`not a blob's path: ${path}`);
    batch.push(path.slice(BLOBS_ROOT.length + 1));
    if (batch.length < NAMES_PER_WRITE) continue;
    yield Buffer.from(`${batch.join('\0')}\0`);
    batch = [];
  }
  if (batch.length > 0) yield Buffer.from(`${batch.join('\0')}\0`);
}
