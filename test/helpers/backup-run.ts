/** The steps of one backup, run one by one as the workflow would, each in a mock of Temporal's activity environment. */
import { randomBytes } from 'node:crypto';
import { MockActivityEnvironment } from '@temporalio/testing';
import type { ApplicationFailure } from '@temporalio/common';
import { DefaultLogger } from '@temporalio/worker';
import { backupActivities } from '../../activities/backup';
import type { BackupActivities, BackupFacts, FreezeRecord, ImagesPass, MetadataTaken, Proof } from '../../activities/contract';
import { classified } from '../../activities/failures';
import type { Config } from '../../domain/config';

type Input<K extends keyof BackupActivities> = Parameters<BackupActivities[K]>[0];
type Output<K extends keyof BackupActivities> = Awaited<ReturnType<BackupActivities[K]>>;

/** Without the SDK's warnings: tests fail steps on purpose. */
export function activityEnvironment(attempt = 1): MockActivityEnvironment {
  return new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') });
}

export class BackupRun {
  readonly startedAt = new Date().toISOString();
  readonly backupId = `${this.startedAt.replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
  readonly step: { cluster: string; operation: string; backupId: string };
  facts!: BackupFacts;
  record!: FreezeRecord;
  metadata!: MetadataTaken;
  proof!: Proof;
  notes: Input<'seal'>['notes'] = [];
  readonly passes: ImagesPass[] = [];
  private readonly activities: BackupActivities;

  constructor(config: Config, operation?: string) {
    this.step = { cluster: 'lab', operation: operation ?? `backup_${this.backupId}`, backupId: this.backupId };
    // None of these steps speaks to Temporal itself.
    this.activities = classified(backupActivities({ config, configPath: 'drydock.yaml', namespace: 'default', client: undefined as never, refuseWithoutLock: () => Promise.resolve() }));
  }

  /** One activity; `environment` lets a test cancel it or say which attempt it is. */
  run<K extends keyof BackupActivities>(name: K, more: Omit<Input<K>, 'cluster' | 'operation' | 'backupId'>, environment = activityEnvironment()): Promise<Output<K>> {
    return environment.run(this.activities[name] as (input: unknown) => Promise<Output<K>>, { ...this.step, ...more });
  }

  /** The failure of one activity, as Temporal gets it. */
  async failure<K extends keyof BackupActivities>(name: K, more: Omit<Input<K>, 'cluster' | 'operation' | 'backupId'>): Promise<ApplicationFailure> {
    const error: unknown = await this.run(name, more).then(() => new Error(`${name} succeeded`), (reason: unknown) => reason);
    return error as ApplicationFailure;
  }

  async check(): Promise<BackupFacts> {
    return (this.facts = await this.run('checkBackup', {}));
  }

  async images(pass: 1 | 2): Promise<ImagesPass> {
    const done = await this.run('copyImages', { facts: this.facts, pass });
    this.passes.push(done);
    return done;
  }

  async freeze(): Promise<string> {
    ({ record: this.record } = await this.run('recordFreeze', {}));
    return (await this.run('freeze', { record: this.record })).frozenAt;
  }

  async takeMetadata(): Promise<MetadataTaken> {
    return (this.metadata = await this.run('takeMetadata', { facts: this.facts, round: 0 }));
  }

  async prove(): Promise<Proof> {
    return (this.proof = await this.run('prove', { facts: this.facts, metadata: this.metadata }));
  }

  seal(): Promise<Output<'seal'>> {
    const { facts, record, metadata, passes, proof, startedAt } = this;
    return this.run('seal', { facts, record, metadata, passes, proof, notes: this.notes, startedBy: 'a test', startedAt });
  }

  /** All steps in their order; `meanwhile` happens between the first pass and the freeze. */
  async whole(meanwhile: () => Promise<void> | void = () => undefined): Promise<Output<'seal'>> {
    await this.check();
    await this.images(1);
    await meanwhile();
    await this.freeze();
    await this.takeMetadata();
    await this.images(2);
    await this.run('thaw', { record: this.record });
    await this.prove();
    const sealed = await this.seal();
    await this.run('cleanUp', { abandoned: false });
    return sealed;
  }
}
