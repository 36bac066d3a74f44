import { StringDecoder } from 'node:string_decoder';
import { BLOBS_ROOT, parseBlobPath } from '../../domain/layout';
import type { Host } from '../host/host';
import { Complaints } from './complaints';
import { hasBlobs, volumeRoot, type StreamOptions } from './volume';

export interface ListedBlob {
  /** Relative to the volume's root. */
  path: string;
  size: number;
  mtimeMs: number;
}

/**
 * All blobs of a registry volume, of both layouts, by one command that streams; uploads in flight are left out. A volume without any is
 * empty. Throws NotFound when the volume's root is not there.
 */
export async function* listBlobs(host: Host, root: string, options: StreamOptions = {}): AsyncGenerator<ListedBlob> {
  for await (const blobs of listBlobBatches(host, root, options)) yield* blobs;
}

/** As `listBlobs`, many at a time: for a million, an iterator's step for each costs more than what is done with it. */
export async function* listBlobBatches(host: Host, root: string, options: StreamOptions = {}): AsyncGenerator<ListedBlob[]> {
  const volume = volumeRoot(root);
  if (!(await hasBlobs(host, volume, options.signal))) return;
  const command = [...(options.priority ?? []), 'find', `${volume}/${BLOBS_ROOT}`, '-ignore_readdir_race', '-name', '_uploads', '-prune', '-o', '-type', 'f', '-name', 'data', '-printf', '%P\\0%s\\0%T@\\0'];
  const complaints = new Complaints();
  const process = await host.spawn(command, { ...options, onStderr: complaints.take });
  process.stdin.end();
  try {
    let fields: string[] = [];
    for await (const more of splitAtZero(process.stdout)) {
      fields = fields.length === 0 ? more : fields.concat(more);
      const blobs: ListedBlob[] = [];
      let at = 0;
      for (; at + 3 <= fields.length; at += 3) {
        const path = `${BLOBS_ROOT}/${fields[at]}`;
        if (parseBlobPath(path)) blobs.push({ path, size: Number(fields[at + 1]), mtimeMs: Math.floor(Number(fields[at + 2]) * 1000) });
      }
      fields = fields.slice(at);
      yield blobs;
    }
    complaints.sorted(host.name, command, await process.exit, [1]);
  } finally {
    await process.kill();
  }
}

async function* splitAtZero(source: AsyncIterable<Buffer>): AsyncGenerator<string[]> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of source) {
    const fields = (rest + decoder.write(chunk)).split('\0');
    rest = fields.pop()!;
    yield fields;
  }
}
