/** Long lists that one step of a backup leaves for the next, on the worker's disk: JSON lines, readable by the worker's user only. */
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { appendFile, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { linesOf } from '../../adapters/stream/lines';
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import type { BackupStep } from '../contract';

/** Names of the lists. */
export const WORK = {
  /** Rows of the metadata that say which content images need. */
  rows: 'rows.jsonl',
  /** Of the same, which layers each repository has: by far the most rows, and seldom asked for. */
  blobLinks: 'blob-links.jsonl',
  /** The volume's blobs at the second pass: their paths. */
  listing: 'blob-paths.jsonl',
  /** Tag links of the older layout. */
  links: 'tag-links.jsonl',
  tags: 'tags.jsonl',
  blobs: 'blobs.jsonl',
  gaps: 'gaps.jsonl',
  /** What the seal puts into the encrypted notes: `Note`s. */
  notes: 'notes.jsonl',
  /** What is known of segments: named by a sealed backup, written by this run, or hashed; or not to be used, and why. */
  segments: 'segments.jsonl',
} as const;
export type WorkName = (typeof WORK)[keyof typeof WORK];

export class WorkFiles {
  private constructor(private readonly directory: string) {}

  /** The backup's id is part of the place: a workflow id may be used again, and must not find another run's lists. */
  static async open(cluster: Cluster, step: BackupStep): Promise<WorkFiles> {
    const directory = path.join(await cluster.workDir(step.operation), step.backupId);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new WorkFiles(directory);
  }

  /** Replaces a list; it is there only after `end`. */
  create(name: WorkName): LineWriter {
    return new LineWriter(path.join(this.directory, name));
  }

  async write(name: WorkName, rows: Iterable<unknown>): Promise<void> {
    const writer = this.create(name);
    try {
      for (const row of rows) {
        const filling = writer.add(row);
        if (filling) await filling;
      }
      await writer.end();
    } finally {
      await writer.abort();
    }
  }

  /** Rows as they were written by us. Throws WorkLost when an earlier step's list is not there. */
  async *read<T>(name: WorkName): AsyncGenerator<T> {
    for await (const lines of this.lines(name)) for (const line of lines) yield JSON.parse(line) as T;
  }

  /** As `read`, without parsing, and many lines at a time. */
  async *lines(name: WorkName): AsyncGenerator<string[]> {
    const source = await this.stream(name);
    try {
      yield* linesOf(source as AsyncIterable<Buffer>, MAX_LINE_BYTES, () => new DrydockError('WorkLost', `the working file ${name} of this backup has a line without an end`, { remedy: REMEDY }));
    } finally {
      source.destroy();
    }
  }

  /** Adds rows to a list at once; a reader of a list that is not there gets none, and passes over a last row that was cut off. */
  async append(name: WorkName, rows: Iterable<unknown>): Promise<void> {
    // What was cut off before must not swallow the next row.
    const lines = [...rows].map((row) => `\n${JSON.stringify(row)}\n`);
    if (lines.length > 0) await appendFile(path.join(this.directory, name), lines.join(''), { mode: 0o600 });
  }

  /** Rows that `append` wrote. */
  async *appended<T>(name: WorkName): AsyncGenerator<T> {
    const text = await readFile(path.join(this.directory, name), 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const row = line === '' ? undefined : parseRow(line);
      if (row !== undefined) yield row as T;
    }
  }

  /** The list's bytes. Throws WorkLost. */
  async stream(name: WorkName): Promise<Readable> {
    const file = path.join(this.directory, name);
    if (!(await stat(file).catch(() => null))) throw new DrydockError('WorkLost', `the working file ${name} of this backup is not on this worker`, { remedy: REMEDY });
    return createReadStream(file, { highWaterMark: READ_BYTES });
  }

  async remove(...names: WorkName[]): Promise<void> {
    for (const name of names) await rm(path.join(this.directory, name), { force: true });
  }
}

function parseRow(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

const REMEDY = 'the step that makes it runs again; keep stateDir on a disk that outlives the worker';
/** A row names the layers of one image. */
const MAX_LINE_BYTES = 256 << 20;
const READ_BYTES = 1 << 18;
const LINES_PER_WRITE = 500;
/** So much may wait for the disk while more is made. */
const WRITE_BYTES = 1 << 20;

/** Writes one list; its reader sees all of it or nothing. */
export class LineWriter {
  private readonly stream: WriteStream;
  private failure: Error | undefined;
  private ended = false;
  private lines: string[] = [];

  constructor(private readonly file: string) {
    this.stream = createWriteStream(`${file}.part`, { mode: 0o600, highWaterMark: WRITE_BYTES });
    this.stream.on('error', (error) => (this.failure = error));
  }

  /**
   * What it returns, if anything, is to be waited for before more comes (a promise for each of a million rows costs more than the row). Throws NoSpace or WorkLost
   * when the worker's disk does not take it.
   */
  add(row: unknown): Promise<void> | undefined {
    this.lines.push(`${JSON.stringify(row)}\n`);
    return this.lines.length >= LINES_PER_WRITE ? this.flush() : undefined;
  }

  async end(): Promise<void> {
    await this.flush();
    if (!this.failure) {
      this.stream.end();
      await once(this.stream, 'close').catch(() => undefined);
    }
    if (this.failure) throw this.failed();
    await rename(`${this.file}.part`, this.file);
    this.ended = true;
  }

  /** Throws away what was not ended; safe to call always. */
  async abort(): Promise<void> {
    if (this.ended) return;
    this.stream.destroy();
    await rm(`${this.file}.part`, { force: true });
  }

  private async flush(): Promise<void> {
    if (this.failure) throw this.failed();
    const text = this.lines.join('');
    this.lines = [];
    if (text !== '' && !this.stream.write(text)) await once(this.stream, 'drain').catch(() => undefined);
  }

  private failed(): DrydockError {
    const full = (this.failure as NodeJS.ErrnoException).code === 'ENOSPC';
    return new DrydockError(full ? 'NoSpace' : 'WorkLost', `the worker cannot write ${this.file}`, { remedy: full ? 'make room where stateDir lies' : 'check stateDir and its disk', cause: this.failure });
  }
}
