import { DrydockError } from '../../domain/errors';
import { CLOCK_TOLERANCE_MS } from '../../domain/retention';
import type { Cluster } from '../cluster';

/** Times decide over removal. Throws Refused when the vault's clock and this one disagree. */
export async function refuseWrongClock({ vault }: Cluster): Promise<void> {
  const before = Date.now();
  const theirs = (await vault.clock()).getTime();
  const difference = Math.max(before - theirs, theirs - Date.now());
  if (difference <= CLOCK_TOLERANCE_MS) return;
  throw new DrydockError('Refused', `the clocks of this worker and of the vault (${vault.description}) differ by ${Math.round(difference / 1000)} s: nothing is marked or removed`, {
    remedy: 'set both clocks right (NTP), then prune again',
  });
}
