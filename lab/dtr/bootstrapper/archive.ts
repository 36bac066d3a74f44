import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { extract, pack, type Pack } from 'tar-stream';
import { sleep } from '../common/http';
import type { Log } from '../common/log';
import { rowKey, type Store } from '../common/store';
import { isArchived, primaryKey, storesBlobsById, tablesOf, type Row } from '../common/tables';

export interface DumpOptions {
  version: string;
  offline: boolean;
  /** Tables left out. */
  without: string[];
}

/** Pause before each table, for tests that want to change rows in between; never part of an archive. */
export const DELAY_KEY = '/dtr/lab/backupTableDelayMs';

/** When the last backup ended; the warning about a missing one goes by it. */
export const LAST_BACKUP_KEY = '/dtr/lastBackup';

/** Below etcd's limit of 128 operations a transaction; one at a time would wait for the disk for each row. */
const ROWS_AT_ONCE = 100;

/** Root folder of an archive. */
export function archiveRoot(version: string, offline = false): string {
  // 2.5 and older name the version only; the suffix is seen from 2.6 on.
  return `dtr-backup-v${version}${storesBlobsById(version) && !offline ? '-online' : ''}`;
}

/** Version in the name of an archive's first entry, or null when it is no archive of DTR. */
export function archiveVersion(name: string): string | null {
  return /^dtr-backup-v(\d+\.\d+\.\d+)(?:-[a-z]+)?\//.exec(name)?.[1] ?? null;
}

/**
 * Writes the archive: one folder a table, one JSON document a file. Tables are read one after another while the registry is in use,
 * and a large table in several reads, so rows of different tables need not agree.
 */
export async function dump(store: Store, out: Writable, options: DumpOptions, log: Log): Promise<void> {
  const tar = pack();
  const written = drain(tar, out);
  const root = archiveRoot(options.version, options.offline);
  folder(tar, `${root}/`);
  folder(tar, `${root}/rethink/`);
  const delay = Number((await store.etcd.get(DELAY_KEY))?.value ?? 0);
  for (const table of shuffled(tablesOf(options.version))) {
    if (options.without.includes(table)) continue;
    log.debug(`Backing up table ${table}`);
    folder(tar, `${root}/rethink/${table}/`);
    let number = 0;
    for await (const row of store.rows<Row>(table)) {
      if (!isArchived(options.version, table, row)) continue;
      await file(tar, `${root}/rethink/${table}/${number}`, JSON.stringify(row));
      number += 1;
    }
    if (delay > 0) await sleep(delay);
  }
  tar.finalize();
  await written;
}

/** Order is arbitrary in the vendor's archives, so nobody may rely on one; tags before manifests before blobs would hide disagreements. */
function shuffled(tables: readonly string[]): string[] {
  return tables.map((table) => ({ table, place: Math.random() })).sort((a, b) => a.place - b.place).map((item) => item.table);
}

function folder(tar: Pack, name: string): void {
  tar.entry({ name, type: 'directory', mode: 0o700, uid: 0, gid: 0, mtime: new Date(0) });
}

/** Resolves when the reader has taken the document, so memory stays flat. */
function file(tar: Pack, name: string, content: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const size = Buffer.byteLength(content);
    const entry = tar.entry({ name, size, mode: 0o600, uid: 0, gid: 0, mtime: new Date() }, (error) => (error ? reject(error) : resolve()));
    entry.end(content);
  });
}

async function drain(tar: Pack, out: Writable): Promise<void> {
  for await (const chunk of tar) if (!out.write(chunk)) await once(out, 'drain');
}

/** Loads an archive into an empty store. Returns rows by table; throws on an archive that cannot be read or has no table. */
export async function load(store: Store, input: Readable, version: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const tables = new Set(tablesOf(version));
  // Rows by key: a transaction refuses a key that comes twice.
  let batch = new Map<string, string>();
  const flush = async (): Promise<void> => {
    await store.etcd.transact([], [...batch].map(([key, value]) => ({ put: { key, value } })));
    batch = new Map();
  };
  const reader = extract();
  input.on('error', (error) => reader.destroy(error));
  input.pipe(reader);
  for await (const entry of reader) {
    const match = /^[^/]+\/rethink\/([a-z_]+)\/\d+$/.exec(entry.header.name);
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    if (!match || entry.header.type !== 'file') continue;
    const table = match[1]!;
    if (!tables.has(table)) throw new Error(`the archive has a table ${table} that this version does not know`);
    counts.set(table, (counts.get(table) ?? 0) + 1);
    const text = Buffer.concat(chunks).toString();
    batch.set(rowKey(table, primaryKey(table, JSON.parse(text) as Row)), text);
    if (batch.size >= ROWS_AT_ONCE) await flush();
  }
  await flush();
  if (!counts.has('properties')) throw new Error('the archive holds no properties');
  return counts;
}
