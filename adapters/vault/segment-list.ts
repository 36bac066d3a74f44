/** The segments that a sealed backup needs: the list that its manifest names by digest. */
import { createHash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import type { Manifest } from '../../domain/manifest';
import { segmentRefSchema, type SegmentRef } from '../../domain/manifest-segments';
import { parseBounded } from './bounded-json';
import type { Vault } from './vault';

/** Of 100,000 segments it has 60 MiB; more is damage or an attack. */
const MAX_BYTES = 512 << 20;
const NEWLINE = 0x0a;
const REMEDY = 'put the file back from a second copy of the vault, or use another backup';

/** What of a manifest names the list. */
export type NamesSegments = { artifacts: Pick<Manifest['artifacts'], 'segments'> };

/**
 * In the order of the list. Nothing of it is believed before size and digest of the whole were right. Throws NotFound when the list is gone, IntegrityMismatch
 * when it is damaged.
 */
export async function segmentsOf(vault: Vault, { artifacts: { segments: record } }: NamesSegments, signal?: AbortSignal): Promise<SegmentRef[]> {
  const content = await readSegmentList(vault, record, signal);
  const refs: SegmentRef[] = [];
  const sets = new Map<string, string[]>();
  for (let at = 0; at < content.length; ) {
    const end = content.indexOf(NEWLINE, at);
    if (end < 0) throw damaged(record.name, vault, 'its last line is not complete');
    const parsed = segmentRefSchema.safeParse(parseBounded(content.subarray(at, end), `a line of ${record.name}`));
    if (!parsed.success) throw damaged(record.name, vault, `line ${refs.length + 1} is of a form that this version does not know`);
    refs.push({ ...parsed.data, recipients: shared(sets, parsed.data.recipients) });
    at = end + 1;
  }
  return refs;
}

/** The bytes of a list, after size and digest were right. Throws as `segmentsOf` does. */
export async function readSegmentList(vault: Vault, { name, bytes, sha256 }: { name: string; bytes: number; sha256: string }, signal?: AbortSignal): Promise<Buffer> {
  if (bytes > MAX_BYTES) throw damaged(name, vault, `it has ${bytes} bytes`);
  const hash = createHash('sha256');
  const content = Buffer.allocUnsafe(bytes);
  let filled = 0;
  const source = await vault.read(name).catch((error: unknown) => {
    throw error instanceof DrydockError && error.kind === 'NotFound' ? gone(name, vault, error) : error;
  });
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      signal?.throwIfAborted();
      if (filled + chunk.length > bytes) throw damaged(name, vault, `it has more than the ${bytes} bytes that were sealed`);
      hash.update(chunk);
      filled += chunk.copy(content, filled);
    }
  } finally {
    source.destroy();
  }
  if (filled !== bytes) throw damaged(name, vault, `it has ${filled} bytes, recorded are ${bytes}`);
  if (hash.digest('hex') !== sha256) throw damaged(name, vault, 'its SHA-256 is not the one recorded');
  return content;
}

/** One list for all segments of the same recipients. */
function shared(sets: Map<string, string[]>, recipients: string[]): string[] {
  const key = recipients.join(' ');
  const known = sets.get(key) ?? recipients;
  sets.set(key, known);
  return known;
}

function gone(name: string, vault: Vault, cause: DrydockError): DrydockError {
  return new DrydockError('NotFound', `the list of segments ${name} is not in ${vault.description}`, { remedy: REMEDY, cause });
}

function damaged(name: string, vault: Vault, why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the list of segments ${name} in ${vault.description} is damaged: ${why}`, { remedy: REMEDY });
}
