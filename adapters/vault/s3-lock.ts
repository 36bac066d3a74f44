/** Object lock: what is written cannot be removed by anyone for some days; what is still needed is locked anew. */
import { GetObjectLockConfigurationCommand, GetObjectRetentionCommand, PutObjectRetentionCommand, type ObjectLockConfiguration, type ObjectLockMode, type ObjectLockRetentionMode } from '@aws-sdk/client-s3';
import { DrydockError } from '../../domain/errors';
import { isShortLived } from '../../domain/vault-format';
import type { S3Connection } from './s3-client';
import { isAnswer, statusOf } from './s3-errors';

const DAY_MS = 86_400_000;
/** For what is removed again at once in a bucket that would lock it by default: as short as lets it be written. */
const SHORT_MS = 60_000;

/** Fields of a call that writes. */
export interface Retention {
  ObjectLockMode?: ObjectLockMode;
  ObjectLockRetainUntilDate?: Date;
}

export class ObjectLock {
  readonly days: number | null;
  private bucketsOwn: Promise<ObjectLockConfiguration | null> | null = null;

  constructor(private readonly connection: S3Connection) {
    this.days = connection.settings.objectLock?.days ?? null;
  }

  /** For a new object of this name. */
  async forNew(name: string): Promise<Retention> {
    const { objectLock } = this.connection.settings;
    if (isShortLived(name)) return this.forTemporary();
    if (!objectLock) return {};
    return { ObjectLockMode: modeOf(objectLock), ObjectLockRetainUntilDate: new Date((await this.connection.now()).getTime() + objectLock.days * DAY_MS) };
  }

  /** For what will be removed soon. A bucket's own default would lock it as long as anything else. */
  async forTemporary(): Promise<Retention> {
    if (!(await this.bucketLock())?.Rule?.DefaultRetention?.Mode) return {};
    return { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: new Date((await this.connection.now()).getTime() + SHORT_MS) };
  }

  /** See Vault.extendRetention. */
  async extend(name: string, until: Date): Promise<Date | null> {
    const { settings, bucket, calls } = this.connection;
    if (!settings.objectLock) return null;
    const object = { Bucket: bucket, Key: this.connection.key(name) };
    const lockAs = async (Mode: ObjectLockRetentionMode): Promise<Date> => {
      await calls.send(new PutObjectRetentionCommand({ ...object, Retention: { Mode, RetainUntilDate: until }, ChecksumAlgorithm: 'SHA256' }));
      return until;
    };
    return this.connection.run(`lock ${name}`, async () => {
      const mode = modeOf(settings.objectLock!);
      try {
        // Nearly always the lock becomes longer, which no server refuses: asking first would double the calls for all that a backup needs.
        return await lockAs(mode);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        const now = await this.retentionOf(object);
        if (now.until && now.until >= until) return now.until;
        // A lock in compliance mode stays one.
        if (now.mode !== 'COMPLIANCE' || now.mode === mode) throw error;
        return lockAs(now.mode);
      }
    });
  }

  /** Until when an object, or one version of it, is locked. */
  async retentionOf(object: { Bucket: string; Key: string; VersionId?: string }): Promise<{ mode?: ObjectLockRetentionMode; until?: Date }> {
    try {
      const { Retention: found } = await this.connection.calls.send(new GetObjectRetentionCommand(object));
      return { mode: found?.Mode, until: found?.RetainUntilDate };
    } catch (error) {
      if (isAnswer(error, 'NoSuchObjectLockConfiguration')) return {};
      throw error;
    }
  }

  /** Throws InvalidInput when the vault is to be locked and the bucket cannot. */
  async check(): Promise<void> {
    this.bucketsOwn = null;
    if (!this.connection.settings.objectLock || (await this.isOn())) return;
    throw new DrydockError('InvalidInput', `the bucket of ${this.connection.description} has no object lock`, {
      remedy: 'create the bucket with object lock, or switch versioning and object lock on there, or leave objectLock out of vaults.*.s3',
    });
  }

  /** Whether the bucket keeps versions under lock. */
  async isOn(): Promise<boolean> {
    return (await this.bucketLock())?.ObjectLockEnabled === 'Enabled';
  }

  private bucketLock(): Promise<ObjectLockConfiguration | null> {
    this.bucketsOwn ??= this.connection.run('look for its object lock', async () => {
      try {
        const { ObjectLockConfiguration: found } = await this.connection.calls.send(new GetObjectLockConfigurationCommand({ Bucket: this.connection.bucket }));
        return found ?? null;
      } catch (error) {
        if (isAnswer(error, 'ObjectLockConfigurationNotFoundError', 'NotImplemented', 'MethodNotAllowed') || statusOf(error) === 404) return null;
        // Who need not lock anything may not be allowed to ask.
        if (statusOf(error) === 403 && !this.connection.settings.objectLock) return null;
        throw error;
      }
    });
    this.bucketsOwn.catch(() => (this.bucketsOwn = null));
    return this.bucketsOwn;
  }
}

/** The lock is longer already, or of the stricter mode, or we may not. */
function isRefusal(error: unknown): boolean {
  return [400, 403, 409].includes(statusOf(error) ?? 0);
}

function modeOf({ mode }: { mode: 'governance' | 'compliance' }): 'GOVERNANCE' | 'COMPLIANCE' {
  return mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE';
}
