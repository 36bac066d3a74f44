/** A segment's index: JSON lines in clear, the header first, then one line for each stored copy. */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { parseBlobPath } from '../../domain/layout';
import { FORMAT_VERSION, vaultPaths, type ManifestRefs, type SegmentHeader, type StoredBlob } from '../../domain/vault-format';
import type { Vault, VaultEntry } from './vault';

/** A segment full of the smallest blobs has an index of this order; more is damage or an attack. */
const MAX_INDEX_BYTES = 1 << 30;
const HEX_64 = /^[0-9a-f]{64}$/;
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
  sha256: z.string().regex(HEX_64),
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
}

/**
 * The indexes of all complete segments of a cluster, one at a time: both files are there and the encrypted one has the recorded size.
 * A segment without an index is unfinished and left out. Throws IntegrityMismatch unless `onDamaged` is given.
 */
export async function* readIndexes(vault: Vault, cluster: string, options: ReadIndexesOptions = {}): AsyncGenerator<SegmentIndex> {
  const files = new Map<string, { index?: VaultEntry; tar?: VaultEntry }>();
  for await (const entry of vault.list(vaultPaths.segments(cluster))) {
    const match = SEGMENT_FILE.exec(entry.name);
    if (!match || (options.only && !options.only.has(match[1]!))) continue;
    const known = files.get(match[1]!) ?? {};
    files.set(match[1]!, match[2] === 'index' ? { ...known, index: entry } : { ...known, tar: entry });
  }
  for (const [segment, { index, tar }] of files) {
    if (!index) continue;
    try {
      const found = await readIndex(vault, cluster, segment);
      if (!tar) throw damaged(index.name, 'the segment that it describes is not there');
      if (tar.size !== found.header.bytes) throw damaged(index.name, `the segment has ${tar.size} bytes, recorded are ${found.header.bytes}`);
      yield found;
    } catch (error) {
      if (!options.onDamaged || !(error instanceof DrydockError) || error.kind !== 'IntegrityMismatch') throw error;
      options.onDamaged(index.name, error);
    }
  }
}

/** One index. Throws NotFound or IntegrityMismatch. */
export async function readIndex(vault: Vault, cluster: string, segment: string): Promise<SegmentIndex> {
  const name = vaultPaths.segmentIndex(cluster, segment);
  const stored = await vault.stat(name);
  if (stored && stored.size > MAX_INDEX_BYTES) throw damaged(name, `it has ${stored.size} bytes`);
  const source = await vault.read(name);
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
  // Without a listener, an error of the source would not reach the loop below.
  const failed = new Promise<never>((_resolve, reject) => source.once('error', reject));
  failed.catch(() => undefined);
  let header: SegmentHeader | null = null;
  const blobs: StoredBlob[] = [];
  try {
    for await (const line of lines) {
      if (header) blobs.push(parseIndexLine(line, name, blobs.length));
      else header = parseIndexHeader(line, name, segment);
    }
    if (source.errored) await failed;
  } finally {
    source.destroy();
  }
  if (!header) throw damaged(name, 'it is empty');
  if (blobs.length !== header.blobs) throw damaged(name, `it lists ${blobs.length} blobs, its header says ${header.blobs}`);
  return { header, blobs };
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
    !HEX_64.test(value.sha256) ||
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
  const hex = (value: unknown): boolean => typeof value === 'string' && HEX_64.test(value);
  const hexList = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.every(hex));
  const sound =
    refs !== null &&
    typeof refs === 'object' &&
    typeof refs.mediaType === 'string' &&
    (refs.config === undefined || hex(refs.config)) &&
    (refs.subject === undefined || hex(refs.subject)) &&
    [refs.layers, refs.foreign, refs.manifests].every(hexList) &&
    (refs.sizes === undefined || (Array.isArray(refs.sizes) && refs.sizes.every((size) => Number.isSafeInteger(size) && size >= 0)));
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

function damaged(name: string, why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the segment index ${name} is damaged: ${why}`, { remedy: 'put the file back from a second copy of the vault; a new backup stores the blobs anew' });
}
