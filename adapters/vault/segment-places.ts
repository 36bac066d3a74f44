/** Finding a few blobs in a segment's index without parsing all of it: an index may list a hundred thousand. */
import { createHash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { vaultPaths, type SegmentHeader, type StoredBlob } from '../../domain/vault-format';
import type { SegmentRef } from '../../domain/manifest';
import { MAX_LINE_BYTES, parseIndexHeader, parseIndexLine } from './segment-index';
import type { Vault } from './vault';

/** A blob as a backup's list names it. */
export interface WantedBlob {
  path: string;
  size: number;
  sha256: string;
  segment: string;
}

/** What a backup's list says about a segment. */
export interface RecordedSegment {
  bytes: number;
  sha256: string;
  /** Its index. */
  index?: { bytes: number; sha256: string };
}

/** What a backup's list says about the segments, by id. */
export function recordedSegments(segments: readonly SegmentRef[]): Map<string, RecordedSegment> {
  return new Map(segments.map(({ segment, bytes, sha256, index }) => [segment, { bytes, sha256, index }]));
}

export interface SegmentPlaces {
  header: SegmentHeader;
  /** Where the wanted blobs lie, in the order of the tar, each once. */
  places: StoredBlob[];
}

const NEWLINE = 0x0a;
/** Up to this many are searched for one by one; above, every line's digest is looked up. */
const FEW = 8;

/**
 * Reads a segment's index: to its end where `recorded` says what it must be, else just as far as needed. Void copies are passed over. Throws NotFound, or
 * IntegrityMismatch when the index is damaged, another one than was sealed, or does not list what is wanted.
 */
export async function findPlaces(vault: Vault, cluster: string, segment: string, wanted: readonly WantedBlob[], recorded?: { bytes: number; sha256: string }): Promise<SegmentPlaces> {
  const name = vaultPaths.segmentIndex(cluster, segment);
  const open = new Map(wanted.map((blob) => [keyOf(blob), blob]));
  const places: StoredBlob[] = [];
  let header: SegmentHeader | null = null;
  const hash = createHash('sha256');
  let bytes = 0;
  const onChunk = (chunk: Buffer): void => {
    if (recorded === undefined) return;
    hash.update(chunk);
    bytes += chunk.length;
  };
  for await (const lines of lineBlocks(vault, name, onChunk)) {
    let block = lines;
    if (header === null) {
      const end = block.indexOf(NEWLINE);
      header = parseIndexHeader(block.subarray(0, end).toString('utf8'), name, segment);
      block = block.subarray(end + 1);
    }
    if (open.size === 0) continue;
    for (const line of candidates(block, open)) {
      const place = parseIndexLine(line, name);
      if (!place.void && open.delete(keyOf(place))) places.push(place);
    }
    if (open.size === 0 && recorded === undefined) break;
  }
  if (recorded !== undefined && (bytes !== recorded.bytes || hash.digest('hex') !== recorded.sha256)) {
    throw new DrydockError('IntegrityMismatch', `the segment index ${name} is not the one that the backup was sealed with`, { remedy: REMEDY });
  }
  if (header === null) throw new DrydockError('IntegrityMismatch', `the segment index ${name} is empty`, { remedy: REMEDY });
  for (const blob of open.values()) throw notListed(segment, blob.path);
  return { header, places: places.sort((a, b) => a.offset - b.offset) };
}

const REMEDY = 'put the segment and its index back from a second copy of the vault, or use another backup';

function notListed(segment: string, path: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `segment ${segment} does not hold ${path}: its index does not list it`, { remedy: REMEDY });
}

/** The index in blocks that end at the end of a line. */
async function* lineBlocks(vault: Vault, name: string, onChunk: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  const source = await vault.read(name);
  let carried: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      onChunk(chunk);
      const data = carried.length === 0 ? chunk : Buffer.concat([carried, chunk]);
      const end = data.lastIndexOf(NEWLINE) + 1;
      carried = data.subarray(end);
      if (carried.length > MAX_LINE_BYTES) throw new DrydockError('IntegrityMismatch', `the segment index ${name} is damaged: it has a line of more than ${MAX_LINE_BYTES} bytes`, { remedy: REMEDY });
      if (end > 0) yield data.subarray(0, end);
    }
  } finally {
    source.destroy();
  }
}

/** The lines of a block that may describe one of the wanted blobs. */
function* candidates(block: Buffer, open: ReadonlyMap<string, WantedBlob>): Generator<string> {
  if (open.size <= FEW) {
    for (const { sha256 } of [...open.values()]) {
      for (let at = block.indexOf(marked(sha256)); at >= 0; at = block.indexOf(marked(sha256), at + 1)) yield lineAround(block, at);
    }
    return;
  }
  const digests = new Set([...open.values()].map(({ sha256 }) => sha256));
  const text = block.toString('latin1');
  for (const match of text.matchAll(/"sha256":"([0-9a-f]{64})"/g)) {
    if (digests.has(match[1]!)) yield lineAround(block, match.index);
  }
}

function marked(sha256: string): string {
  return `"sha256":"${sha256}"`;
}

function lineAround(block: Buffer, at: number): string {
  return block.subarray(block.lastIndexOf(NEWLINE, at) + 1, block.indexOf(NEWLINE, at)).toString('utf8');
}

function keyOf(blob: { path: string; size: number; sha256: string }): string {
  return `${blob.sha256} ${blob.size} ${blob.path}`;
}
