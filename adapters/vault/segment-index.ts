/** A segment's index: JSON lines in clear, the header first, then one line for each stored copy. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { isDigest } from '../../domain/digest';
import { DrydockError } from '../../domain/errors';
import { parseBlobPath } from '../../domain/layout';
import { canHaveSizes } from '../../domain/manifest-refs';
import { isSha256 } from '../../domain/sha256';
import { FORMAT_VERSION, vaultPaths, type ManifestRefs, type SegmentHeader, type StoredBlob } from '../../domain/vault-format';
import { blocksOf } from '../stream/lines';
import { indexesAhead, type IndexSource, type KeptIndexes } from './indexes-ahead';
import type { Vault, VaultEntry } from './vault';

/** A segment full of the smallest blobs has an index of this order; more is damage or an attack. */
const MAX_INDEX_BYTES = 1 << 30;
/** A line may name many children, but not this many. */
export const MAX_LINE_BYTES = 16 << 20;
const NEWLINE = 0x0a;
const SEGMENT_FILE = /\/segments\/([0-9A-Za-z][0-9A-Za-z-]*)\.(tar\.gpg|index)$/;

export interface SegmentIndex {
  header: SegmentHeader;
  blobs: StoredBlob[];
}

const headerSchema = z.object({
  format: z.int().min(1).max(FORMAT_VERSION),
  segment: z.string(),
  writtenBy: z.string(),
  bytes: z.int().min(1),
  sha256: z.string().refine(isSha256),
  recipients: z.array(z.string()),
  blobs: z.int().min(0),
  plainBytes: z.int().min(0),
});

export function formatIndex(index: SegmentIndex): string {
  return [index.header, ...index.blobs].map((line) => `${JSON.stringify(line)}\n`).join('');
}

export interface ReadIndexesOptions {
  /** Only these segments. Default: all of the cluster. */
  only?: ReadonlySet<string>;
  /** Called for an index that cannot be used; its blobs count as not stored. Default: the error is thrown. */
  onDamaged?: (name: string, error: DrydockError) => void;
  kept?: KeptIndexes;
}

/**
 * The indexes of all complete segments of a cluster, one at a time: both files are there and the encrypted one has the recorded size.
 * A segment without an index is unfinished and left out. Throws IntegrityMismatch unless `onDamaged` is given.
 */
export function readIndexes(vault: Vault, cluster: string, options: ReadIndexesOptions = {}): AsyncGenerator<SegmentIndex> {
  return eachIndex(vault, cluster, options, (segment, source) => readIndex(source, cluster, segment));
}

/** As `readIndexes`, in the form in which `read` reads one; it reads one after the other, while the bytes of the next are on their way. */
export async function* eachIndex<T extends { header: SegmentHeader }>(vault: Vault, cluster: string, options: ReadIndexesOptions, read: (segment: string, source: IndexSource) => Promise<T>): AsyncGenerator<T> {
  for await (const { files, source } of indexesAhead(vault, await listSegments(vault, cluster, options.only), options.kept)) {
    try {
      const size = sizeOfSegment(files);
      const index = await read(files.segment, source);
      if (size !== index.header.bytes) throw damaged(files.index.name, `the segment has ${size} bytes, recorded are ${index.header.bytes}`);
      yield index;
    } catch (error) {
      if (!options.onDamaged || !(error instanceof DrydockError) || error.kind !== 'IntegrityMismatch') throw error;
      options.onDamaged(files.index.name, error);
    }
  }
}

export interface SegmentEntries {
  segment: string;
  index: VaultEntry;
  tar?: VaultEntry;
}

/** The segments of a cluster that have an index, in the order of a listing. */
export async function listSegments(vault: Vault, cluster: string, only?: ReadonlySet<string>): Promise<SegmentEntries[]> {
  const files = new Map<string, { index?: VaultEntry; tar?: VaultEntry }>();
  for await (const entry of vault.list(vaultPaths.segments(cluster))) {
    const match = SEGMENT_FILE.exec(entry.name);
    if (!match || (only && !only.has(match[1]!))) continue;
    const known = files.get(match[1]!) ?? {};
    files.set(match[1]!, match[2] === 'index' ? { ...known, index: entry } : { ...known, tar: entry });
  }
  return [...files].flatMap(([segment, { index, tar }]) => (index ? [{ segment, index, ...(tar ? { tar } : {}) }] : []));
}

/** Of the encrypted file. Throws IntegrityMismatch when it is not there: then its index need not be read. */
function sizeOfSegment({ index, tar }: SegmentEntries): number {
  if (!tar) throw damaged(index.name, 'the segment that it describes is not there');
  return tar.size;
}

/** One index. Throws NotFound or IntegrityMismatch. */
export async function readIndex(source: IndexSource, cluster: string, segment: string): Promise<SegmentIndex> {
  let blobs: StoredBlob[] = [];
  const header = await scanIndex(source, cluster, segment, (more) => void (blobs = blobs.concat(more)));
  return { header, blobs };
}

/**
 * Goes through one index, many lines at a time, without keeping them. What `onBlobs` got may be used only when this has returned: an error may come after
 * it. Throws NotFound or IntegrityMismatch.
 */
export async function scanIndex(source: IndexSource, cluster: string, segment: string, onBlobs: (blobs: StoredBlob[]) => void): Promise<SegmentHeader> {
  return scanLines(source, cluster, segment, (block, name, first) => {
    const lines = block.toString('utf8').split('\n');
    onBlobs(lines.map((line, at) => parseIndexLine(line, name, first + at)));
    return lines.length;
  });
}

/**
 * Gives the lines behind the header to `take`: whole ones, many at a time, with the index's name and the number of the first, from 0; it returns how many they were.
 * Throws NotFound or IntegrityMismatch.
 */
export async function scanLines(from: IndexSource, cluster: string, segment: string, take: (block: Buffer, name: string, first: number) => number): Promise<SegmentHeader> {
  const name = vaultPaths.segmentIndex(cluster, segment);
  const source = await from.read(name);
  let header: SegmentHeader | null = null;
  let count = 0;
  let bytes = 0;
  try {
    for await (const block of blocksOf(source as AsyncIterable<Buffer>, MAX_LINE_BYTES, () => longLine(name))) {
      bytes += block.length;
      if (bytes > MAX_INDEX_BYTES) throw damaged(name, `it has more than ${MAX_INDEX_BYTES} bytes`);
      let lines = block;
      if (!header) {
        const end = block.indexOf(NEWLINE);
        header = parseIndexHeader(block.toString('utf8', 0, end < 0 ? block.length : end), name, segment);
        if (end < 0) continue;
        lines = block.subarray(end + 1);
      }
      count += take(lines, name, count);
    }
  } finally {
    source.destroy();
  }
  if (!header) throw damaged(name, 'it is empty');
  if (count !== header.blobs) throw damaged(name, `it lists ${count} blobs, its header says ${header.blobs}`);
  return header;
}

/** An index as a manifest records it. Its lines are counted, not read. Throws NotFound or IntegrityMismatch. */
export async function summarizeIndex(source: IndexSource, cluster: string, segment: string): Promise<{ header: SegmentHeader; bytes: number; sha256: string }> {
  const name = vaultPaths.segmentIndex(cluster, segment);
  const hash = createHash('sha256');
  let header: SegmentHeader | null = null;
  let head: Buffer = Buffer.alloc(0);
  let bytes = 0;
  let lines = 0;
  for await (const chunk of (await source.read(name)) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) lines += 1;
    if (header) continue;
    head = Buffer.concat([head, chunk]);
    if (head.length > MAX_LINE_BYTES) throw longLine(name);
    const end = head.indexOf(NEWLINE);
    if (end >= 0) header = parseIndexHeader(head.subarray(0, end).toString('utf8'), name, segment);
  }
  if (!header) throw damaged(name, 'it is empty');
  if (lines !== header.blobs + 1) throw damaged(name, `it lists ${lines - 1} blobs, its header says ${header.blobs}`);
  return { header, bytes, sha256: hash.digest('hex') };
}

/** Digest of an index as it is written, for the manifest. */
export function indexDigest(content: string): { bytes: number; sha256: string } {
  return { bytes: Buffer.byteLength(content), sha256: createHash('sha256').update(content).digest('hex') };
}

/** The first line of an index. Throws IntegrityMismatch. */
export function parseIndexHeader(line: string, name: string, segment: string): SegmentHeader {
  const result = headerSchema.safeParse(parseLine(line, name));
  if (!result.success) throw damaged(name, 'its first line is not a header of a format that this Drydock knows');
  if (result.data.segment !== segment) throw damaged(name, `it is the index of segment ${result.data.segment}`);
  return result.data;
}

/** Any further line of an index, checked by hand: a vault may hold a million of these. `at` is its number, from 0, where it is known. Throws IntegrityMismatch. */
export function parseIndexLine(line: string, name: string, at?: number): StoredBlob {
  const value = parseLine(line, name) as Partial<StoredBlob> | null;
  const whole = (size: unknown): size is number => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
  if (
    value === null ||
    typeof value !== 'object' ||
    typeof value.path !== 'string' ||
    parseBlobPath(value.path) === null ||
    value.path.includes('/../') ||
    typeof value.sha256 !== 'string' ||
    !isSha256(value.sha256) ||
    !whole(value.size) ||
    !whole(value.offset)
  ) {
    throw damaged(name, `${lineNumber(at)} does not describe a blob`);
  }
  return {
    path: value.path,
    size: value.size,
    sha256: value.sha256,
    offset: value.offset,
    ...(value.void === undefined ? {} : { void: true as const }),
    ...(value.refs === undefined ? {} : { refs: checkRefs(value.refs, name, at) }),
  };
}

function lineNumber(at: number | undefined): string {
  return at === undefined ? 'a line' : `line ${at + 2}`;
}

function checkRefs(refs: Partial<ManifestRefs> | null, name: string, at: number | undefined): ManifestRefs {
  const digest = (value: unknown): boolean => typeof value === 'string' && isDigest(value);
  const list = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.every(digest));
  const size = (value: unknown): boolean => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  const sound =
    refs !== null &&
    typeof refs === 'object' &&
    typeof refs.mediaType === 'string' &&
    (refs.config === undefined || digest(refs.config)) &&
    (refs.subject === undefined || digest(refs.subject)) &&
    [refs.layers, refs.foreign, refs.manifests].every(list) &&
    canHaveSizes(refs) &&
    (refs.unreadable === undefined || size(refs.unreadable)) &&
    (refs.sizes === undefined || (Array.isArray(refs.sizes) && refs.sizes.every(size)));
  if (!sound) throw damaged(name, `${lineNumber(at)} has references that are not digests`);
  return refs as ManifestRefs;
}

function parseLine(line: string, name: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw damaged(name, 'it has a line that is not JSON');
  }
}

function longLine(name: string): DrydockError {
  return damaged(name, `it has a line of more than ${MAX_LINE_BYTES} bytes`);
}

function damaged(name: string, why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the segment index ${name} is damaged: ${why}`, { remedy: 'put the file back from a second copy of the vault; a new backup stores the blobs anew' });
}
