import type { Manifest, SegmentRef } from '../../domain/manifest';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { report } from '../pulse';

const DAY_MS = 86_400_000;
const AT_ONCE = 16;
/** The manifest is written, and locked, a little later: what it needs must not be free before it. A hundredth of the time, but not less than this. */
const MIN_MARGIN_MS = 2_000;

/**
 * Where the vault locks what is written: makes all that a new backup needs stay locked as long as its manifest will. Segments of earlier backups were
 * locked when those were made, and their locks would end while this backup still relies on them. Throws NotFound when something is gone.
 */
export async function lockUsed({ vault, name }: Pick<Cluster, 'vault' | 'name'>, manifest: Pick<Manifest, 'artifacts'>, segments: readonly SegmentRef[], signal: AbortSignal): Promise<void> {
  const { lockDays } = vault;
  if (lockDays === null) return;
  const lockMs = lockDays * DAY_MS;
  const until = new Date((await vault.clock()).getTime() + lockMs + Math.max(MIN_MARGIN_MS, lockMs / 100));
  const names = namesOf(name, manifest, segments);
  const itemsTotal = names.length;
  let done = 0;
  const next = async (): Promise<void> => {
    for (let object = names.pop(); object !== undefined; object = names.pop()) {
      signal.throwIfAborted();
      await vault.extendRetention(object, until);
      report({ phase: 'locking what the backup needs', bytesDone: 0, itemsDone: (done += 1), itemsTotal });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

function namesOf(cluster: string, manifest: Pick<Manifest, 'artifacts'>, segments: readonly SegmentRef[]): string[] {
  return [
    ...artifactsOf(manifest).map((artifact) => artifact.name),
    ...segments.flatMap(({ segment, wrapped }) => {
      const tar = vaultPaths.segment(cluster, segment);
      return [tar, vaultPaths.segmentIndex(cluster, segment), ...(wrapped?.keys ?? []).map(({ recipient }) => vaultPaths.wrappedKeys(tar, recipient))];
    }),
  ];
}
