/** Whether a manifest will have room for what stands in it in full length. */
import { DrydockError } from '../../domain/errors';
import { MANIFEST_MAX_BYTES } from '../../domain/manifest';
import type { BackupFacts } from '../contract';

/** What may be of any length. All of it is known at the check; gaps are cut to the room that is left. */
export type Lengthy = Pick<BackupFacts, 'replicas' | 'settings' | 'volume'> & { recipients: readonly string[]; crons: readonly unknown[] };

/** Artifacts that name their recipients: metadata, tags, blobs, notes; and the link tree, where there is a volume. */
const ENCRYPTED = 4;
/** Names, digests, numbers and times: no manifest has less. The names of the metadata's tables come later, and are few. */
const LEAST_BYTES = 3 * 1024;

/** Asked at the check: at the seal it would come after hours of copying. Refuses nothing that could be sealed. Throws Refused, with what takes the room. */
export function refuseTooLong({ recipients, replicas, crons, settings, volume }: Lengthy): void {
  const times = ENCRYPTED + (volume === null ? 0 : 1);
  const parts: [what: string, bytes: number][] = [
    [`recipients of encryption (${recipients.length}, each of which stands in it ${times} times)`, times * sizeOf(recipients, 3)],
    [`replicas (${replicas.length})`, sizeOf(replicas, 2)],
    [`crons (${crons.length})`, sizeOf(crons, 2)],
    ['settings of DTR, its proxies among them', sizeOf(settings, 2)],
  ];
  const bytes = parts.reduce((sum, [, size]) => sum + size, LEAST_BYTES);
  if (bytes <= MANIFEST_MAX_BYTES) return;
  const longest = parts.sort(([, a], [, b]) => b - a)[0]![0];
  throw new DrydockError('Refused', `the manifest of this backup would have ${bytes} bytes at least, ${MANIFEST_MAX_BYTES} are the most; ${parts.map(([what, size]) => `${what}: ${size}`).join('; ')}`, {
    remedy: `shorten the ${longest}`,
  });
}

/** As it stands in a manifest, so many levels deep. */
function sizeOf(value: unknown, depth: number): number {
  const text = JSON.stringify(value, null, 2);
  return Buffer.byteLength(text) + (text.split('\n').length - 1) * 2 * depth;
}
