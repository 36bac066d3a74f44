/**
 * What an operation changed outside, and what was there before: written before it is changed, removed when it was put back. The same record lies in
 * several places, some of which may not be reached when it is written, read or removed; the newest revision of it counts.
 */
import { z } from 'zod';
import { replicaId, restoreTarget } from './contract';

/** A cron of DTR with everything that brings it back. */
export interface SavedCron {
  action: string;
  schedule: string;
  retries: number;
  parameters: unknown;
  deadline: string;
  [key: string]: unknown;
}
export const savedCronSchema: z.ZodType<SavedCron> = z
  .looseObject({ action: z.string(), schedule: z.string(), retries: z.number(), parameters: z.unknown(), deadline: z.string() })
  .transform((cron) => ({ ...cron, parameters: cron.parameters ?? null }));

const onNode = z.object({ id: replicaId, node: z.string() });

const head = {
  format: z.literal(1),
  /** Names the record in every place: kind and digits that stand for operation, run and what is changed. */
  id: z.string().regex(/^(freeze|stop|hold|restore)-[0-9a-f]{16}$/),
  cluster: z.string(),
  /** Key of the operation that makes the change. */
  operation: z.string(),
  workflowId: z.string(),
  runId: z.string(),
  backupId: z.string().nullable(),
  /** Which stateDir the worker that wrote this has, and on which machine. */
  installation: z.object({ id: z.string(), host: z.string() }),
  recordedAt: z.iso.datetime(),
  revision: z.int().min(1),
  /** `planned`: nothing is changed yet. `begun`: from now on it may be. `ended`: it was put back, but a place could not be reached that may still hold an older revision. */
  state: z.enum(['planned', 'begun', 'ended']),
  /** Hosts that hold a revision of it, because no vault took it. */
  onHosts: z.array(z.string()).default([]),
  /** Ids of the installations under whose stateDir a revision was written: each can clear its own only. */
  onWorkers: z.array(z.string()).default([]),
  /** Of `ended`: names of the places that could not be reached. */
  notEndedIn: z.array(z.string()).default([]),
};

/** Crons that a backup disables, and read-only mode. */
export const freezeChange = z.object({
  ...head,
  kind: z.literal('freeze'),
  crons: z.array(savedCronSchema),
  /** Only under the policy `readOnly`: what readOnlyRegistry was. */
  readOnlyBefore: z.boolean().nullable(),
});

/** Containers of one replica that a restore stops: those that ran, in the order in which they are stopped. */
export const stopChange = z.object({ ...head, kind: z.literal('stop'), replica: onNode, containers: z.array(z.string()) });

/** What a restore keeps closed until it is confirmed and released: read-only mode, and the crons that came with the metadata. */
export const holdChange = z.object({ ...head, kind: z.literal('hold'), crons: z.array(savedCronSchema), readOnlyBefore: z.boolean().nullable() });

export const RESTORE_STAGES = ['destroy', 'images', 'metadata', 'confirm', 'join', 'release'] as const;
export type RestoreStage = (typeof RESTORE_STAGES)[number];

/** Stands from before a restore destroys anything until it has come to its end. `begun`: it is behind the point of no return. */
export const restoreChange = z.object({
  ...head,
  kind: z.literal('restore'),
  /** The vault that is read, as drydock.yaml names it. */
  vault: z.string(),
  /** Hosts that this restore takes out of the Swarm. */
  fences: z.array(z.string()),
  destroys: z.array(onNode),
  /** The replica that the backup is restored into, and the others. */
  first: onNode,
  joins: z.array(onNode),
  /** Hosts other than drydock.yaml's. */
  targets: z.array(restoreTarget),
  /** The registry volume, where unfinished files may lie; null where the images are elsewhere. */
  volume: z.string().nullable(),
  stage: z.enum(RESTORE_STAGES),
});

export const changeSchema = z.discriminatedUnion('kind', [freezeChange, stopChange, holdChange, restoreChange]);
export type Change = z.infer<typeof changeSchema>;
export type ChangeKind = Change['kind'];
export type ChangeOf<K extends ChangeKind> = Extract<Change, { kind: K }>;
export type FreezeChange = ChangeOf<'freeze'>;

/** One revision as it was found in one place. */
export interface FoundChange {
  change: Change;
  place: string;
}

const RANK = { planned: 0, begun: 1, ended: 2 } as const;

/** The revision that counts of each record, ended ones included, oldest record first. */
export function newestOf(found: readonly FoundChange[]): Change[] {
  const newest = new Map<string, Change>();
  for (const { change } of found) {
    const known = newest.get(change.id);
    if (!known || isNewer(change, known)) newest.set(change.id, change);
  }
  return [...newest.values()].sort((a, b) => (a.recordedAt < b.recordedAt ? -1 : a.recordedAt > b.recordedAt ? 1 : a.id < b.id ? -1 : 1));
}

function isNewer(a: Change, b: Change): boolean {
  return a.revision === b.revision ? RANK[a.state] > RANK[b.state] : a.revision > b.revision;
}

/** Restores that have destroyed something and did not come to their end. */
export function behindNoReturn(changes: readonly Change[]): ChangeOf<'restore'>[] {
  return changes.filter((change) => change.kind === 'restore').filter(({ state }) => state === 'begun');
}

/** Hosts that unfinished restores took out of the Swarm, or were about to. */
export function fencedHosts(changes: readonly Change[]): string[] {
  return [...new Set(changes.flatMap((change) => (change.kind === 'restore' ? change.fences : [])))].sort();
}

const STATE_IN_WORDS: Record<RestoreStage, string> = {
  destroy: 'replicas are destroyed, all or some, and nothing is restored yet',
  images: 'the old replicas are destroyed; images were being written, the metadata is not restored',
  metadata: 'images are in place; the metadata was being restored, so the registry is not usable',
  confirm: 'images and metadata are restored; nothing was confirmed, and the registry is read-only',
  join: 'it is restored and confirmed; further replicas were being joined, and the registry is read-only',
  release: 'it is restored and confirmed, and open for pushes; the crons that delete may be off',
};

/** What an unfinished restore has left, in one sentence. */
export function unfinishedSentence({ operation, recordedAt, stage, backupId, fences }: ChangeOf<'restore'>): string {
  const off = fences.length === 0 ? '' : `; taken out of the Swarm: ${fences.join(', ')}`;
  return `The restore ${operation} of ${recordedAt} from backup ${backupId ?? '-'} is behind its point of no return and did not come to its end: ${STATE_IN_WORDS[stage]}${off}.`;
}

/** How people get out of it. */
export function unfinishedWayOut({ cluster, operation }: Pick<Change, 'cluster' | 'operation'>): string {
  return `start the restore again (it needs no --force), or, when the registry was brought back in another way, say so with \`drydock reconcile ${cluster} --end-restore ${operation}\``;
}

/** The crons in words, so that they can be set by hand. */
export function cronsInWords(crons: readonly SavedCron[]): string {
  return crons.map(({ action, schedule }) => `${action} ("${schedule}")`).join(', ');
}
