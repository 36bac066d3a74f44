/** The indexes of many segments, read ahead: one call after the other would take a distant vault hours for some ten thousand of them. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { readAhead } from '../stream/at-once';
import type { ContentCache } from './content-cache';
import type { SegmentEntries } from './segment-index';
import type { Vault } from './vault';

/** So many are under way or wait for their turn. */
export const INDEXES_AHEAD = 16;
/** A larger one is read in its turn. */
export const AHEAD_BYTES = 4 << 20;

/** Where the bytes of an index come from. */
export type IndexSource = Pick<Vault, 'read'>;

/** Copies of indexes, believed only where they have the digest that a sealed backup records. */
export interface KeptIndexes {
  /** By segment. */
  sealed: ReadonlyMap<string, { bytes: number; sha256: string }>;
  cache: ContentCache;
}

/** In the order of `files`. What cannot be read fails when its source is read. */
export function indexesAhead(vault: Vault, files: Iterable<SegmentEntries>, kept?: KeptIndexes): AsyncGenerator<{ files: SegmentEntries; source: IndexSource }> {
  return readAhead(files, INDEXES_AHEAD, async (each) => ({ files: each, source: await sourceOf(vault, each, kept) }));
}

async function sourceOf(vault: Vault, { segment, index, tar }: SegmentEntries, kept?: KeptIndexes): Promise<IndexSource> {
  // Of a segment that is not there the index says nothing.
  if (!tar || index.size > AHEAD_BYTES) return vault;
  const sealed = kept?.sealed.get(segment);
  const copy = sealed?.bytes === index.size ? await kept?.cache.read(sealed) : null;
  if (copy) return bytesAsSource(copy);
  try {
    const content = await vault.readAll(index.name, AHEAD_BYTES);
    if (sealed && content.length === sealed.bytes && createHash('sha256').update(content).digest('hex') === sealed.sha256) await kept?.cache.write(sealed.sha256, content);
    return bytesAsSource(content);
  } catch (error) {
    return { read: () => Promise.reject(error instanceof Error ? error : new Error(String(error))) };
  }
}

/** Can be read more than once. */
export function bytesAsSource(content: Buffer): IndexSource {
  return { read: () => Promise.resolve(Readable.from(content.length === 0 ? [] : [content], { objectMode: false })) };
}
