/** What an operation that is dead has left changed: put back where that is possible, said where it is not. */
import { behindNoReturn, cronsInWords, unfinishedSentence, unfinishedWayOut, type Change, type ChangeOf } from '../../domain/changes';
import { DrydockError } from '../../domain/errors';
import { thaw } from '../backup/thaw';
import { changesOf } from '../changes';
import type { Cluster } from '../cluster';
import type { ThawResult } from '../contract';
import { startStopped } from '../restore/stop';

/** Damaged records and places that cannot be read are notes: what they hold only is not known, and must not pass as nothing. */
export async function listChanges(cluster: Cluster): Promise<{ changes: Change[]; notes: string[] }> {
  const { changes, unread, damaged } = await changesOf(cluster).read({ hosts: true });
  const notes = [
    ...unread.map(({ place, why }) => `What was recorded in ${place} only is not known: ${why}.`),
    ...damaged.map(({ place, name }) => `The record ${name} (${place}) cannot be read: compare crons, read-only mode and containers of the registry with what they should be, then remove it.`),
  ];
  return { changes, notes };
}

/** Safe to repeat: the record is ended last. */
export async function putBack(cluster: Cluster, change: Change): Promise<ThawResult> {
  switch (change.kind) {
    case 'freeze':
      return (await isBehind(cluster)) ? thawedIfThere(cluster, change) : thawed(change, await thaw(cluster, change));
    case 'stop':
      return containersOf(cluster, change);
    case 'hold':
      return { putBack: [], left: [heldSentence(change)] };
    case 'restore':
      return change.state === 'begun' ? { putBack: [], left: [`${unfinishedSentence(change)} Way out: ${unfinishedWayOut(change)}.`] } : unmarked(cluster, change);
  }
}

function thawed({ operation, state }: ChangeOf<'freeze'>, { putBack: done, left }: ThawResult): ThawResult {
  if (done.length > 0 || left.length > 0) return { putBack: done, left };
  return { putBack: [`the record of ${operation} was removed: ${state === 'planned' ? 'it had not begun to switch anything off' : 'all that it names is as it was'}`], left };
}

/** The registry is half there: one try, and then the restore or a person sees to it. */
async function thawedIfThere(cluster: Cluster, change: ChangeOf<'freeze'>): Promise<ThawResult> {
  try {
    return thawed(change, await thaw(cluster, change));
  } catch (error) {
    cluster.signal?.throwIfAborted();
    if (!(error instanceof DrydockError)) throw error;
    return { putBack: [], left: [`${change.operation} had switched off ${cronsInWords(change.crons) || 'read-only mode only'}, and the registry does not take them back now (${error.message}); the end of the restore settles it.`] };
  }
}

async function isBehind(cluster: Cluster, runId?: string): Promise<boolean> {
  const behind = behindNoReturn((await changesOf(cluster).read({ hosts: true })).changes);
  return runId === undefined ? behind.length > 0 : behind.some((change) => change.runId === runId);
}

/** Behind the point of no return the containers are gone, or wait for a registry that is half there. */
async function containersOf(cluster: Cluster, change: ChangeOf<'stop'>): Promise<ThawResult> {
  const { id, node } = change.replica;
  if (await isBehind(cluster, change.runId)) return { putBack: [], left: [] };
  await startStopped(cluster, change);
  return { putBack: [`the containers of replica ${id} on ${node}, which ${change.operation} had stopped, were started`], left: [] };
}

async function unmarked(cluster: Cluster, change: ChangeOf<'restore'>): Promise<ThawResult> {
  const left = await changesOf(cluster, change.targets).end(change);
  const fenced = change.fences.length === 0 ? [] : [`${change.operation} may have taken ${change.fences.join(', ')} out of the Swarm: join again what is to be used.`];
  return { putBack: [`the record of ${change.operation} was removed: it had destroyed nothing`], left: [...fenced, ...left] };
}

function heldSentence({ operation, crons, readOnlyBefore }: ChangeOf<'hold'>): string {
  const off = crons.length === 0 ? '' : `; it disabled the crons ${cronsInWords(crons)}`;
  return `The restore ${operation} holds the registry${readOnlyBefore === null ? '' : ' read-only'} until it is confirmed${off}.`;
}
