/** The operations of a sweep, each with the world that it begins in. */
import { mkdir, readFile, rename, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { vaultPaths } from '../../domain/vault-format';
import { freezeRecord, leaveRecord } from '../helpers/changes';
import type { Played, Scene, Stage } from './stage';
import { SECOND, SPARE, World } from './world';

const DAY_MS = 86_400_000;

async function fresh(directory: string): Promise<World> {
  await mkdir(directory, { recursive: true });
  const world = new World(directory);
  await world.build();
  for (const name of ['main', 'mirror']) {
    const vault = openDirectoryVault(world.vaultDirectory(name));
    await mkdir(world.vaultDirectory(name), { recursive: true });
    await vault.check();
    await vault.close();
  }
  return world;
}

export const BACKUP: Scene = { operation: 'backup', world: fresh };

/** All operations. Those that need a backup begin with the one that a clean run has made. */
export async function scenesOf(stage: Stage): Promise<{ scenes: Scene[]; made: Played }> {
  const made = await stage.play(BACKUP);
  if (made.status !== 'completed') throw new Error(`the backup that the others begin with ${made.status}: ${made.message}`);
  const backup = made.view.backupId!;
  const seeded = (change: (world: World, cluster: string) => Promise<void> | void = () => undefined) => async (directory: string, cluster: string): Promise<World> => {
    const world = await made.world.copyTo(directory);
    await renameCluster(world, made.cluster, cluster, backup);
    await change(world, cluster);
    return world;
  };
  const restore: Scene = {
    operation: 'restore', input: { force: true, targets: [{ replicaId: SECOND.id, node: SPARE }] },
    world: seeded((world) => world.lose(SECOND.node)),
  };
  const forget: Scene = { operation: 'forget', input: { backup }, world: seeded() };
  const copy: Scene = { operation: 'copy', settings: { copies: ['mirror'] }, world: seeded() };
  const prune: Scene = { operation: 'prune', settings: { keep: { last: 1 }, retention: { hold: '1d' } }, world: seeded((world, cluster) => giveUp(world, cluster, backup)) };
  const reconcile: Scene = { operation: 'reconcile', world: seeded((world, cluster) => leaveFrozen(world, cluster)) };
  return { scenes: [BACKUP, restore, reconcile, prune, forget, copy], made };
}

/** A cluster has one lock, so each run has a cluster of its own; in a vault its name stands in folders and in the manifest. */
async function renameCluster(world: World, from: string, to: string, backup: string): Promise<void> {
  const vault = world.vaultDirectory('main');
  await rename(join(vault, from), join(vault, to));
  const manifest = join(vault, vaultPaths.manifest(to, backup));
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replaceAll(from, to));
}

/** As a person forgot it two days ago. */
async function giveUp(world: World, cluster: string, backup: string): Promise<void> {
  const vault = openDirectoryVault(world.vaultDirectory('main'));
  const at = new Date(Date.now() - 2 * DAY_MS);
  const name = vaultPaths.tombstone(cluster, backup, at.toISOString().replace(/[-:]|\.\d+/g, ''));
  await vault.put(name, JSON.stringify({ format: 1, id: backup, kind: 'backup', at: at.toISOString(), by: 'a person', why: 'given up', forgotten: { by: 'a person', approved: true } }));
  await utimes(join(world.vaultDirectory('main'), name), at, at);
}

/** As a backup that died in the middle left it. */
async function leaveFrozen(world: World, cluster: string): Promise<void> {
  const vault = openDirectoryVault(world.vaultDirectory('main'));
  const crons = [...world.crons.values()].map((cron) => ({ ...cron }));
  world.crons.clear();
await leaveRecord(vault, freezeRecord({ cluster, operation: 'dead', workflowId: 'dead', crons }));
}
