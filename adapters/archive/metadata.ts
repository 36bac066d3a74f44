/** The vendor's metadata archive, checked and read while it streams: `dtr-backup-v<version>[-online]/rethink/<table>/<n>`. */
import { isUtf8 } from 'node:buffer';
import { Transform, Writable, type Readable, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DrydockError } from '../../domain/errors';
import type { TarMember } from './tar-header';
import { TarParser } from './tar-parser';

/** One document is one row; the vendor's are some kilobytes. */
const MAX_DOCUMENT_BYTES = 64 * 1024 * 1024;
const ROOT = /^(?:\.\/)?((?:dtr|msr)-backup-v(\d+\.\d+\.\d+[^/]*?)(?:-(online|offline))?)\/?$/;
const ROOT_FOLDER_OF_ROWS = 'rethink';

export interface MetadataSummary {
  /** Name of the root folder, without `/`. */
  root: string;
  version: string;
  /** Made while the registry was in use (root name ends in `-online`). */
  online: boolean;
  /** False for an archive made offline, whose inner form is not known: only its root and its end were checked. */
  parsed: boolean;
  /** Documents by table, empty tables included. */
  tables: Record<string, number>;
  documents: number;
  /** Of the whole archive. */
  bytes: number;
}

export interface MetadataOptions {
  /** The archive must be of this version, else VersionMismatch. */
  expectedVersion?: string;
}

/** Called for each document. When it returns a promise, reading waits for it. */
export type OnRow = (table: string, row: unknown) => void | Promise<void>;

/** Reads the archive to its end. Throws IntegrityMismatch (with the sentence that says where) or VersionMismatch. */
export async function readMetadataArchive(source: Readable, onRow: OnRow, options: MetadataOptions = {}): Promise<MetadataSummary> {
  const reader = new MetadataReader(onRow, options);
  await pipeline(source, reader, new Writable({ write: (_chunk, _encoding, done) => done() }));
  return reader.summary();
}

/**
 * The same as a stream in the middle of a pipeline: the archive's bytes pass through unchanged, and the pipeline fails when the archive is
 * not whole. So it is checked, counted and stored in one pass.
 */
export class MetadataReader extends Transform {
  private readonly parser: TarParser;
  private readonly tables = new Map<string, number>();
  private root: { name: string; version: string; suffix: string } | null = null;
  private rethinkSeen = false;
  private document: { table: string; name: string; parts: Buffer[] } | null = null;
  private rows: { table: string; row: unknown }[] = [];
  private finished = false;

  constructor(
    private readonly onRow: OnRow,
    private readonly options: MetadataOptions = {},
  ) {
    super({ readableHighWaterMark: 1 << 20, writableHighWaterMark: 1 << 20 });
    this.parser = new TarParser({
      member: (member) => this.takeMember(member),
      data: (chunk) => this.document?.parts.push(chunk),
      memberEnd: () => this.endMember(),
    });
  }

  /** Only after the stream has ended well. */
  summary(): MetadataSummary {
    if (!this.finished || !this.root) throw new Error('the archive was not read to its end');
    const tables = Object.fromEntries([...this.tables].sort(([a], [b]) => (a < b ? -1 : 1)));
    return {
      root: this.root.name,
      version: this.root.version,
      online: this.root.suffix === 'online',
      parsed: !this.opaque,
      tables,
      documents: Object.values(tables).reduce((sum, count) => sum + count, 0),
      bytes: this.parser.offset,
    };
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.accept(chunk).then(
      () => done(null, chunk),
      (error: Error) => done(error),
    );
  }

  override _flush(done: TransformCallback): void {
    try {
      this.finish();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  private get opaque(): boolean {
    return this.root?.suffix === 'offline';
  }

  private async accept(chunk: Buffer): Promise<void> {
    this.parser.write(chunk);
    const rows = this.rows;
    this.rows = [];
    for (const { table, row } of rows) {
      const waiting = this.onRow(table, row);
      if (waiting) await waiting;
    }
  }

  private finish(): void {
    this.parser.end();
    if (!this.root) throw damaged('it holds nothing');
    if (!this.opaque) {
      if (!this.rethinkSeen) throw damaged(`it has no folder ${this.root.name}/${ROOT_FOLDER_OF_ROWS}/`);
      if ((this.tables.get('properties') ?? 0) === 0) throw damaged('its table "properties" has no row, so the settings are missing');
    }
    this.finished = true;
  }

  private takeMember(member: TarMember): void {
    if (member.type !== 'file' && member.type !== 'directory') throw damaged(`${JSON.stringify(member.name)} is neither a file nor a folder`);
    if (!this.root) return this.takeRoot(member);
    const parts = member.name.replace(/^\.\//, '').replace(/\/$/, '').split('/');
    if (parts[0] !== this.root.name || parts.some((part) => part === '' || part === '.' || part === '..')) {
      throw damaged(`${JSON.stringify(member.name)} lies outside the folder ${this.root.name}/`);
    }
    if (this.opaque || parts[1] !== ROOT_FOLDER_OF_ROWS) return;
    this.rethinkSeen = true;
    const table = parts[2];
    if (table === undefined) return;
    if (!this.tables.has(table)) this.tables.set(table, 0);
    if (member.type === 'directory') return;
    if (parts.length < 4) throw damaged(`${member.name} stands where a table's folder should be`);
    if (member.size > MAX_DOCUMENT_BYTES) throw damaged(`${member.name} has ${member.size} bytes; a document has at most ${MAX_DOCUMENT_BYTES}`);
    this.document = { table, name: member.name, parts: [] };
  }

  private takeRoot(member: TarMember): void {
    const match = member.type === 'directory' ? ROOT.exec(member.name) : null;
    if (!match) {
      throw damaged(`it starts with ${JSON.stringify(member.name.slice(0, 200))}, not with the folder dtr-backup-v<version>/`);
    }
    const [, name, version, suffix] = match;
    this.root = { name: name!, version: version!, suffix: suffix ?? '' };
    const { expectedVersion } = this.options;
    if (expectedVersion !== undefined && expectedVersion !== version) {
      throw new DrydockError('VersionMismatch', `the metadata archive is of version ${version}, the registry of version ${expectedVersion}`, { remedy: 'run the backup command of the image with the registry\'s own version' });
    }
  }

  private endMember(): void {
    if (!this.document) return;
    const { table, name, parts } = this.document;
    this.document = null;
    const content = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    this.rows.push({ table, row: parseDocument(name, content) });
    this.tables.set(table, this.tables.get(table)! + 1);
  }
}

function parseDocument(name: string, content: Buffer): unknown {
  if (!isUtf8(content)) throw damaged(`the document ${name} is not UTF-8 text`);
  try {
    return JSON.parse(content.toString('utf8'));
  } catch {
    // The parser's message would quote the document, which may hold keys and passwords.
    throw damaged(`the document ${name} (${content.length} bytes) is not JSON`);
  }
}

function damaged(why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the metadata archive is damaged: ${why}`, { remedy: 'run the backup again; if it fails in the same way, look at the log of the registry\'s backup command' });
}
