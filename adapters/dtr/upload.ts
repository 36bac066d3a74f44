import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { DrydockError } from '../../domain/errors';

/** One file as `multipart/form-data`, streamed: the body and the headers that go with it. Throws InvalidInput when it cannot be read. */
export async function multipartFile(partName: string, file: string): Promise<{ body: Readable; headers: Record<string, string> }> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true) throw new DrydockError('InvalidInput', `the file ${file} does not exist or is not a file`, { remedy: 'check policy.vulnerabilityDatabaseFile' });
  const boundary = `drydock-${randomBytes(16).toString('hex')}`;
  const name = path.basename(file).replace(/["\r\n\\]/g, '_');
  const head = Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${partName}"; filename="${name}"\r\nContent-Type: application/x-tar\r\n\r\n`);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  async function* parts(): AsyncGenerator<Buffer> {
    yield head;
    // Exactly the announced bytes, should the file grow meanwhile.
    if (found!.size > 0) yield* createReadStream(file, { end: found!.size - 1 }) as AsyncIterable<Buffer>;
    yield tail;
  }
  return {
    body: Readable.from(parts(), { objectMode: false }),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}`, 'content-length': String(head.length + found.size + tail.length) },
  };
}
