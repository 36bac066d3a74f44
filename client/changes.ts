/** What operations have left recorded, read without Temporal and without the hosts. */
import { openVault } from '../adapters/vault/open';
import { behindNoReturn, type ChangeOf } from '../domain/changes';
import { Changes } from '../store/changes/changes';
import { installationOf } from '../store/changes/installation';
import { statePlace } from '../store/changes/state-place';
import { vaultPlace } from '../store/changes/vault-place';
import { clusterOf, type LoadedConfig } from './session';

/** Restores of one cluster behind their point of no return. Vaults that cannot be read are passed over: `drydock reconcile` says what is not known. */
export async function unfinishedRestores(local: LoadedConfig, cluster: string): Promise<ChangeOf<'restore'>[]> {
  const { vaults, stateDir } = local.config;
  const { vault, copies } = clusterOf(local, cluster);
  const opened = [...new Set([vault, ...copies])].filter((name) => Object.hasOwn(vaults, name)).map((name) => ({ name, vault: openVault(vaults[name]!), stateDir }));
  try {
    const changes = new Changes({ vaults: opened.map((named) => vaultPlace(named, cluster)), worker: statePlace(stateDir, cluster), workerId: async () => (await installationOf(stateDir)).id, hosts: new Map() });
    return behindNoReturn((await changes.read()).changes);
  } finally {
    await Promise.allSettled(opened.map(({ vault: each }) => each.close()));
  }
}
