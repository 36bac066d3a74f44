/** What a run may leave, held to what its report says. */
import assert from 'node:assert/strict';
import { OPERATION_LABEL } from '../../activities/operation-label';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { isProbe } from '../../adapters/vault/probe';
import { manifestSchema } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import type { Played } from './stage';
import type { Snapshot, World } from './world';

export interface State extends Snapshot {
  /** Names of files; not of segments, which the next backup uses, and of verdicts. */
  main: string[];
  mirror: string[];
}

export async function stateOf(world: World): Promise<State> {
  return { ...world.snapshot(), main: await namesIn(world, 'main'), mirror: await namesIn(world, 'mirror') };
}

async function namesIn(world: World, vault: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of openDirectoryVault(world.vaultDirectory(vault)).list('')) if (!/\/(segments|verdicts)\/|^vault\.json$/.test(name)) names.push(name);
  return names.sort();
}

/** As after an hour: a check removes the probes that dead workers left. */
export function withoutProbes(state: State): State {
  const others = (names: string[]): string[] => names.filter((name) => !isProbe(name));
  return { ...state, main: others(state.main), mirror: others(state.mirror) };
}

/** The same for two runs of one operation: cluster, ids and times are their own, and so are the names that each attempt gives what it writes. */
export function comparable(state: State, cluster: string): State {
  return JSON.parse(JSON.stringify(state).replaceAll(cluster, 'CLUSTER').replace(/\d{8}T\d{6}Z(-[0-9a-f]{6})?/g, 'TIME').replace(/-[0-9a-f]{8}\./g, '-OWN.')) as State;
}

/** Whatever happened: nothing of ours runs on. */
export function refuseLeftovers({ world }: Played): void {
  const ours = [...world.containers.values()].filter(({ labels }) => OPERATION_LABEL in labels).map(({ name }) => name);
  assert.deepEqual(ours, [], 'containers of the run');
}

/** After a cancel that came in time: all is as before, but for what the report calls sealed. */
export async function judgeBackup(played: Played): Promise<void> {
  const { world, before, after, cluster, view } = played;
  const { main: mainBefore, ...outside } = before;
  const { main, ...now } = after;
  assert.deepEqual(now, outside);
  const added = main.filter((name) => !mainBefore.includes(name));
  const isSealed = view.steps.find(({ name }) => name === 'seal')?.state === 'done';
  if (!isSealed) return assert.deepEqual(added, [], 'nothing of a backup that was not sealed stays in the vault');
  const content = await openDirectoryVault(world.vaultDirectory('main')).readAll(vaultPaths.manifest(cluster, view.backupId!), 1 << 20);
  const { artifacts } = manifestSchema.parse(JSON.parse(content.toString('utf8')));
  const missing = Object.values(artifacts).flatMap((artifact) => (artifact && !main.includes(artifact.name) ? [artifact.name] : []));
  assert.deepEqual(missing, [], 'what a sealed backup needs is there');
  assert.deepEqual(main.filter((name) => name.includes('/operations/')), []);
}

/**
 * Until the first destruction, all is as before. Behind it the run says that it is unfinished, and so does the vault until the registry is released; then the run names
 * the crons that are still off. What was cancelled behind its last step is as in `clean`, a run that was not cut.
 */
export function judgeRestore({ before, after, status, kind, message, cluster, view }: Played, clean: Played): void {
  const step = (name: string): (typeof view.steps)[number] | undefined => view.steps.find((each) => each.name === name);
  if (step('destroy')?.startedAt === undefined) {
    assert.equal(status, 'cancelled', message);
    assert.deepEqual(after, before);
    return;
  }
  if (view.steps.every(({ state }) => state === 'done' || state === 'skipped')) return assert.deepEqual(comparable(after, cluster), comparable(clean.after, clean.cluster));
  const isMarked = after.main.some((name) => name.startsWith(`${vaultPaths.operations(cluster)}restore-`));
  if (!isMarked && step('images')?.startedAt === undefined) return judgePutBack(before, after, kind, message);
  assert.equal(kind, 'Unfinished', message);
  assert.ok(message.length > 80, `it says in what state the registry is: ${message}`);
  if (step('release')?.startedAt === undefined) return assert.ok(isMarked, `the vault says that the restore is unfinished: ${message}`);
  for (const cron of Object.keys(before.crons).filter((name) => !(name in after.crons))) assert.ok(message.includes(cron), `the run says that ${cron} is off: ${message}`);
}

/** All is as before, but for hosts that were taken out of the Swarm: nothing puts those back, so the run says which. */
function judgePutBack({ members: membersBefore, ...before }: State, { members, ...after }: State, kind: string, message: string): void {
  assert.deepEqual(after, before);
  const gone = membersBefore.filter((member) => !members.includes(member)).map((member) => member.split(' ')[0]!);
  assert.equal(members.length + gone.length, membersBefore.length);
  if (gone.length > 0) assert.equal(kind, 'NotPutBack', message);
  for (const node of gone) assert.ok(message.includes(node), `the run says that ${node} is out of the Swarm: ${message}`);
}
