import path from 'node:path';
import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { DrydockError } from '../../domain/errors';
import type { Bundle } from './ucp';

const WANTED = ['ca.pem', 'cert.pem', 'key.pem', 'env.sh'];
const MAX_ENTRY = 1024 * 1024;
const MAX_ENTRIES = 1000;

/** Reads the zip of `GET /api/clientbundle`; files may lie in sub-folders. Nothing is unpacked. Throws InvalidInput. */
export async function parseBundleZip(zip: Buffer): Promise<Bundle> {
  const found = await wantedEntries(zip).catch((cause: unknown) => {
    throw cause instanceof DrydockError ? cause : broken(cause instanceof Error ? cause.message : String(cause), cause);
  });
  const part = (name: string): string => {
    const text = found.get(name);
    if (text === undefined) throw broken(`it has no ${name}`);
    return text;
  };
  return { ca: part('ca.pem'), cert: part('cert.pem'), key: part('key.pem'), dockerHost: parseEnvSh(part('env.sh')) };
}

/** The address in `export DOCKER_HOST=tcp://host:port`; the script is read, never run. */
export function parseEnvSh(text: string): string {
  const value = /^\s*(?:export\s+)?DOCKER_HOST=(["']?)(tcp:\/\/[A-Za-z0-9.[\]:_-]+)\1\s*$/m.exec(text)?.[2];
  if (value === undefined || !URL.canParse(value)) throw broken('its env.sh names no DOCKER_HOST=tcp://host:port');
  return value;
}

function broken(why: string, cause?: unknown): DrydockError {
  return new DrydockError('InvalidInput', `the client bundle cannot be used: ${why}`, { remedy: 'download a new client bundle from UCP', cause });
}

/** Text of each wanted file by its base name; of several the one nearest to the root. */
async function wantedEntries(zip: Buffer): Promise<Map<string, string>> {
  const file = await new Promise<ZipFile>((resolve, reject) => {
    yauzl.fromBuffer(zip, { lazyEntries: true, validateEntrySizes: true }, (error, opened) => (error === null ? resolve(opened) : reject(error)));
  });
  const best = new Map<string, Entry>();
  for (const entry of await listEntries(file)) {
    refuseEscapes(entry.fileName);
    const name = path.posix.basename(entry.fileName);
    const other = best.get(name);
    if (WANTED.includes(name) && !entry.fileName.endsWith('/') && (other === undefined || depth(entry) < depth(other))) best.set(name, entry);
  }
  const texts = new Map<string, string>();
  for (const [name, entry] of best) texts.set(name, await readEntry(file, entry));
  return texts;
}

function listEntries(file: ZipFile): Promise<Entry[]> {
  return new Promise((resolve, reject) => {
    const entries: Entry[] = [];
    file.on('entry', (entry: Entry) => {
      entries.push(entry);
      if (entries.length > MAX_ENTRIES) reject(broken('it has too many files'));
      else file.readEntry();
    });
    file.once('end', () => resolve(entries)).once('error', reject);
    file.readEntry();
  });
}

/** We write nothing under these names, but an archive that holds one was not made by UCP. */
function refuseEscapes(name: string): void {
  if (name.startsWith('/') || name.includes('\\') || /^[A-Za-z]:/.test(name) || name.split('/').includes('..')) throw broken(`it holds the unsafe name ${JSON.stringify(name)}`);
}

function depth(entry: Entry): number {
  return entry.fileName.split('/').length;
}

function readEntry(file: ZipFile, entry: Entry): Promise<string> {
  if (entry.uncompressedSize > MAX_ENTRY) throw broken(`${entry.fileName} is too large`);
  return new Promise((resolve, reject) => {
    file.openReadStream(entry, (error, stream) => {
      if (error !== null) return reject(error);
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.once('end', () => resolve(Buffer.concat(chunks).toString('utf8'))).once('error', reject);
    });
  });
}
