import { readFile, rename, writeFile } from 'node:fs/promises';
import { extract } from 'tar-stream';
import { HttpError, readBody, Router, sendJson, serve } from '../common/http';
import { messageOf } from '../common/log';
import { now } from '../common/rows';
import { PORTS } from './context';

/** Lost with the replica's volume, as the real one: no backup holds it. */
const FILE = '/var/lib/postgresql/vulnerabilities.json';

export interface DatabaseState {
  /** 0 while there is none. */
  version: number;
  updatedAt: string;
}

/** Keeps the vulnerability database of one replica: a version and a date are all that can be seen of it. */
export function startScanningStore(): void {
  const router = new Router();
  router.on('GET', '/status', async ({ response }) => sendJson(response, 200, await read()));
  router.on('POST', '/online', async ({ response }) => {
    // The source is played: every day has its edition, numbered by the day.
    await write({ version: Math.floor(Date.now() / 86_400_000), updatedAt: now() });
    sendJson(response, 200, await read());
  });
  router.on('PUT', '/database', async ({ request, response }) => {
    const version = await versionOf(await readBody(request, 512 << 20)).catch((error: unknown) => {
      throw new HttpError(400, 'SCANNING_DB_NOT_READY', `not a vulnerability database: ${messageOf(error)}`);
    });
    await write({ version, updatedAt: now() });
    sendJson(response, 200, await read());
  });
  serve(PORTS.scanningstore, router);
}

async function read(): Promise<DatabaseState> {
  const text = await readFile(FILE, 'utf8').catch(() => null);
  return text === null ? { version: 0, updatedAt: '' } : (JSON.parse(text) as DatabaseState);
}

async function write(state: DatabaseState): Promise<void> {
  await writeFile(`${FILE}.new`, JSON.stringify(state));
  await rename(`${FILE}.new`, FILE);
}

/** Version in `metadata.json` of the tar, else the day's; rejects on what is no tar with a file in it. */
async function versionOf(tar: Buffer): Promise<number> {
  const reader = extract();
  reader.end(tar);
  let version = Math.floor(Date.now() / 86_400_000);
  let files = 0;
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    if (entry.header.type !== 'file') continue;
    files += 1;
    if (entry.header.name.replace(/^\.\//, '') === 'metadata.json') version = Number((JSON.parse(Buffer.concat(chunks).toString()) as { version?: number }).version ?? version);
  }
  if (files === 0) throw new Error('it is no tar, or empty');
  return version;
}
