/** The activities of one lab, run one by one without a server: for tests of single steps. */
import { randomBytes } from 'node:crypto';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ApplicationFailure, type Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities';
import type { Activities } from '../../activities/contract';
import type { Config } from '../../domain/config';
import type { RestoreTarget } from '../../domain/contract';
import { loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { writeJsonLines } from '../../adapters/vault/json-lines';
import { segmentsOf } from '../../adapters/vault/segment-list';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import type { Note } from '../../domain/notes';
import type { RestoreDecisions, RestorePlan } from '../../domain/plan';
import { vaultPaths } from '../../domain/vault-format';
import { putSegments } from '../helpers/segment-list';
import { loadConfig } from '../../worker/config';
import type { DtrLab } from '../lab/dtr-lab';

type Name = keyof Activities;
type Input<N extends Name> = Parameters<Activities[N]>[0];
type Output<N extends Name> = Awaited<ReturnType<Activities[N]>>;

export const CLUSTER = 'lab';

export interface RunOptions {
  /** What an earlier attempt remembered. */
  heartbeat?: unknown;
  /** Called for each heartbeat; may cancel the step. */
  onBeat?: (phase: string, cancel: () => void) => void;
}

export class Steps {
  private constructor(
    private readonly dtr: DtrLab,
    readonly config: Config,
    private readonly vaultName = 'vault',
  ) {}

  static async of(dtr: DtrLab): Promise<Steps> {
    return new Steps(dtr, await loadConfig(dtr.lab.state.file('drydock.yaml')));
  }

  /** The same with a changed configuration of the cluster. */
  with(change: Partial<Config['clusters'][string]>): Steps {
    const clusters = { [CLUSTER]: { ...this.config.clusters[CLUSTER]!, ...change } };
    return new Steps(this.dtr, { ...this.config, clusters }, this.vaultName);
  }

  /** The same with another vault, `name` in the lab's folder: there nothing is stored yet, and its worker has used no other. */
  inVault(name: string): Steps {
    const directory = this.dtr.lab.state.file(name);
    return new Steps(this.dtr, { ...this.config, stateDir: path.join(this.config.stateDir, name), vaults: Object.fromEntries(Object.keys(this.config.vaults).map((vault) => [vault, { directory }])) }, name);
  }

  async run<N extends Name>(name: N, input: Input<N>, options: RunOptions = {}): Promise<Output<N>> {
    // No step here asks Temporal anything.
    const activities = createActivities({ config: this.config, configPath: 'drydock.yaml', namespace: 'default', client: {} as Client, refuseWithoutLock: () => Promise.resolve() });
    const environment = new MockActivityEnvironment({ heartbeatDetails: options.heartbeat });
    environment.on('heartbeat', (beat: { phase: string } | undefined) => options.onBeat?.(beat?.phase ?? '', () => environment.cancel('CANCELLED')));
    const activity = activities[name] as unknown as (input: Input<N>) => Promise<Output<N>>;
    return await environment.run<[Input<N>], Output<N>, typeof activity>(activity, input);
  }

  /** The failure of a step: its kind and the sentence for people. */
  async refusal<N extends Name>(name: N, input: Input<N>): Promise<{ kind: string; message: string; remedy: string }> {
    try {
      await this.run(name, input);
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      const [details] = (error.details ?? []) as { remedy?: string }[];
      return { kind: error.type ?? '', message: error.message, remedy: details?.remedy ?? '' };
    }
    throw new Error(`${name} was not refused`);
  }

  /** Diagnosis and plan of a restore; `force` as long as the cluster works. */
  async plan(backup: string, options: { force?: boolean; targets?: RestoreTarget[]; acceptMissingOwners?: boolean; acceptUnsigned?: boolean } = {}): Promise<RestorePlan> {
    return this.run('planRestore', await this.planInput(backup, options));
  }

  async planInput(backup: string, options: { force?: boolean; targets?: RestoreTarget[]; acceptMissingOwners?: boolean; acceptUnsigned?: boolean } = {}): Promise<Input<'planRestore'>> {
    const { force = true, targets = [], acceptMissingOwners = false, acceptUnsigned = false } = options;
    const step = { cluster: CLUSTER, operation: 'plan' };
    const diagnosis = await this.run('diagnose', { ...step, backup, targets });
    return { ...step, backup, targets, force, acceptMissingOwners, acceptUnsigned, diagnosis };
  }

  /** From stop to destroy: afterwards nothing of the cluster is left on hosts that answer. */
  async destroy(step: { cluster: string; operation: string }, decisions: RestoreDecisions): Promise<void> {
    await this.run('markUnfinished', { ...step, decisions });
    for (const node of decisions.fences) await this.run('fenceNode', { ...step, node });
    for (const { id, node } of decisions.destroys) await this.run('destroyReplica', { ...step, decisions, id, node });
  }

  /** A whole backup; returns its id. */
  async backUp(): Promise<string> {
    const startedAt = new Date().toISOString();
    const backupId = newId();
    const step = { cluster: CLUSTER, operation: `backup_${backupId}`, backupId };
    const facts = await this.run('checkBackup', step);
    const first = await this.run('copyImages', { ...step, facts, pass: 1 });
    const { record } = await this.run('recordFreeze', step);
    await this.run('freeze', { ...step, record });
    const metadata = await this.run('takeMetadata', { ...step, facts, round: 1 });
    const second = await this.run('copyImages', { ...step, facts, pass: 2 });
    await this.run('thaw', { ...step, record });
    const proof = await this.run('prove', { ...step, facts, metadata });
    await this.run('seal', { ...step, facts, record, metadata, passes: [first, second], proof, notes: [], startedBy: 'test', startedAt });
    await this.run('cleanUp', { ...step, abandoned: false });
    return backupId;
  }

  async manifest(backupId: string): Promise<Manifest> {
    return JSON.parse(await readFile(this.vaultFile(vaultPaths.manifest(CLUSTER, backupId)), 'utf8')) as Manifest;
  }

  /** The segments that a backup names. */
  async segments(backupId: string): Promise<SegmentRef[]> {
    return segmentsOf(openDirectoryVault(this.vaultFile('')), await this.manifest(backupId));
  }

  /** Another backup with the same content, of which something is different, its notes or its list of segments too. Returns its id. */
  async forged(backupId: string, change: (manifest: Manifest) => void, lists: { notes?: Note[]; segments?: (segments: SegmentRef[]) => SegmentRef[] } = {}): Promise<string> {
    const manifest = await this.manifest(backupId);
    manifest.backupId = newId();
    for (const artifact of Object.values(manifest.artifacts)) if (artifact !== undefined) artifact.name = artifact.name.replace(backupId, manifest.backupId);
    await cp(this.vaultFile(vaultPaths.backup(CLUSTER, backupId)), this.vaultFile(vaultPaths.backup(CLUSTER, manifest.backupId)), { recursive: true });
    const vault = openDirectoryVault(this.vaultFile(''));
    if (lists.notes) {
      const { notes } = manifest.artifacts;
      await vault.remove(notes.name);
      manifest.artifacts.notes = { ...(await writeJsonLines(vault, notes.name, await loadEncryptionKeys(this.config.clusters[CLUSTER]!.encryption), lists.notes)), needed: false };
    }
    if (lists.segments) manifest.artifacts.segments = await putSegments(vault, CLUSTER, manifest.backupId, lists.segments(await this.segments(backupId)));
    change(manifest);
    await writeFile(this.vaultFile(vaultPaths.manifest(CLUSTER, manifest.backupId)), JSON.stringify(manifest));
    return manifest.backupId;
  }

  vaultFile(name: string): string {
    return path.join(this.dtr.lab.state.file(this.vaultName), name);
  }
}

/** Older than any real one, so that `latest` never means it. */
let made = 0;
function newId(): string {
  made += 1;
  return `20200101T0000${String(made % 60).padStart(2, '0')}Z-${randomBytes(3).toString('hex')}`;
}
