/**
 * The record of a restore from before it destroys anything until its end: it tells the next attempt and `reconcile` what there is, lets the same restore be
 * started again without force, and keeps `prune` from removing what it may need.
 */
import { behindNoReturn, fencedHosts, type Change, type ChangeOf, type RestoreStage } from '../../domain/changes';
import { DrydockError } from '../../domain/errors';
import type { RestoreDecisions } from '../../domain/plan';
import type { Changes, ChangesFound } from '../../store/changes/changes';
import { changeId, changesOf, newChange, ownChange } from '../changes';
import type { Cluster } from '../cluster';

interface Marking {
  operation: string;
  decisions: RestoreDecisions;
}

/** Twice is as good as once. Records of earlier attempts stay: they name hosts that those took out of the Swarm. */
export async function markUnfinished(cluster: Cluster, step: Marking): Promise<void> {
  const { changes, own } = await lookUp(cluster, step);
  if (own) return;
  const { decisions } = step;
  const onNode = ({ id, node }: { id: string; node: string }) => ({ id, node });
  const record: ChangeOf<'restore'> = {
    ...(await newChange(cluster, 'restore', { operation: step.operation, backupId: decisions.backupId })),
    vault: cluster.vaultName,
    fences: [...decisions.fences].sort(),
    destroys: decisions.destroys.map(onNode),
    first: onNode(decisions.first),
    joins: decisions.joins.map(onNode),
    targets: decisions.targets,
    volume: decisions.storage.kind === 'external' ? null : (decisions.volume?.name ?? null),
    stage: 'destroy',
  };
  await changes.write(record, { hosts: hostsOf(decisions), onWorker: true });
}

/** As long as nothing is destroyed. */
export async function unmarkUnfinished(cluster: Cluster, step: Marking): Promise<void> {
  const { changes, own } = await lookUp(cluster, step);
  if (own) await changes.end(own);
}

/** Written before anything is destroyed; throws where it cannot be written, and then nothing is. */
export async function passNoReturn(cluster: Cluster, step: Marking): Promise<void> {
  const { changes, own } = await lookUp(cluster, step);
  if (own?.state === 'begun') return;
  if (!own) throw new DrydockError('Refused', 'the record of this restore is gone, and nothing is destroyed without one', { remedy: 'start the restore again; look who ended the record' });
  await changes.update(own, { state: 'begun' }, { hosts: hostsOf(step.decisions), onWorker: true });
}

/** Without a word on it, it is taken to be behind: nobody may be told that all is as it was. */
export async function hasPassedNoReturn(cluster: Cluster, step: Marking): Promise<boolean> {
  const { own, found } = await lookUp(cluster, step, true);
  return own ? own.state === 'begun' : found.unread.length > 0;
}

/** How far it got, for people. What cannot be written now is no reason to hold the restore up. */
export async function atStage(cluster: Cluster, step: Marking, stage: RestoreStage): Promise<void> {
  const { changes, own } = await lookUp(cluster, step);
  if (!own || own.stage === stage) return;
  await changes.update(own, { stage }, { hosts: hostsOf(step.decisions), onWorker: true }).catch((error: unknown) => {
    if (!(error instanceof DrydockError)) throw error;
  });
}

/** The end of a restore is the end of all its attempts, and of what was recorded of the registry before. Sentences: what could not be removed. */
export async function markFinished(cluster: Cluster, { decisions }: Marking): Promise<{ warnings: string[] }> {
  const changes = changesOf(cluster, decisions.targets);
  const found = await changes.read({ hosts: true });
  const warnings: string[] = [];
  // A freeze of the old registry says nothing about the new one, whose crons people have decided on.
  for (const change of [...found.changes.filter(({ kind }) => kind === 'freeze'), ...recordsOfRestores(found.changes)]) warnings.push(...(await changes.end(change)));
  await changes.tidy({ hosts: true });
  return { warnings };
}

/** Marks last: as long as something else stands, the restore is unfinished. */
export function recordsOfRestores(changes: readonly Change[]): Change[] {
  return [...changes.filter(({ kind }) => kind === 'stop' || kind === 'hold'), ...changes.filter(({ kind }) => kind === 'restore')];
}

/** Restores of this cluster that destroyed something and did not come to their end. */
export async function unfinishedRestores(cluster: Cluster): Promise<ChangeOf<'restore'>[]> {
  return behindNoReturn((await changesOf(cluster).read({ hosts: true })).changes);
}

/** Hosts that the attempts of this restore took out of the Swarm. */
export async function unfinishedFences(cluster: Cluster): Promise<string[]> {
  return fencedHosts((await changesOf(cluster).read({ hosts: true })).changes);
}

async function lookUp(cluster: Cluster, { operation, decisions }: Marking, thorough = false): Promise<{ changes: Changes; found: ChangesFound; own: ChangeOf<'restore'> | undefined }> {
  const changes = changesOf(cluster, decisions.targets);
  const id = changeId(cluster, 'restore', { operation });
  const found = await changes.read();
  const own = ownChange(found, 'restore', id);
  // On hosts only where no vault took it, and another worker was it.
  if (own && !thorough) return { changes, found, own };
  const everywhere = await changes.read({ hosts: true });
  return { changes, found: everywhere, own: ownChange(everywhere, 'restore', id) };
}

/** All hosts that this restore changes. */
function hostsOf({ stops, destroys, first, joins }: RestoreDecisions): string[] {
  return [...new Set([...stops, ...destroys, first, ...joins].map(({ node }) => node))].sort();
}
