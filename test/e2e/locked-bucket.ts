/** A bucket with object lock in compliance mode, on a real S3 server, as a vault of a lab. */
import { utimes } from 'node:fs/promises';
import path from 'node:path';
import { GetObjectRetentionCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { openS3Vault } from '../../adapters/vault/s3';
import type { Vault } from '../../adapters/vault/vault';
import type { S3Config } from '../../domain/config';
import { vaultPaths } from '../../domain/vault-format';
import { OWNER, startVersitygw, type TestS3 } from '../helpers/versitygw';

const BUCKET = 'backups';
const PREFIX = 'drydock';
const DAY_MS = 86_400_000;
/** The shortest lock that a configuration takes: nothing that a test writes can be removed for good while it runs. */
const LOCK_DAYS = 1;

export class LockedBucket {
  readonly secret = OWNER.secret;

  private constructor(
    private readonly server: TestS3,
    /** As it stands in drydock.yaml. */
    readonly settings: S3Config,
    readonly vault: Vault,
  ) {}

  static async start(): Promise<LockedBucket> {
    const server = await startVersitygw();
    await server.makeBucket(BUCKET, { lock: true });
    const settings: S3Config = { ...server.settings(BUCKET, { prefix: PREFIX }), objectLock: { mode: 'compliance', days: LOCK_DAYS } };
    return new LockedBucket(server, settings, openS3Vault(settings));
  }

  /** The same vault with keys that may only list and get. */
  async readOnlySettings(): Promise<S3Config> {
    return { ...this.settings, ...(await this.server.addReader(BUCKET)) };
  }

  async names(prefix = ''): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of this.vault.list(prefix)) found.push(name);
    return found;
  }

  /** Milliseconds. Throws when it is not locked in compliance mode. */
  async lockedUntil(name: string): Promise<number> {
    const { Retention } = await this.server.client.send(new GetObjectRetentionCommand({ Bucket: BUCKET, Key: `${PREFIX}/${name}` }));
    if (Retention?.Mode !== 'COMPLIANCE' || Retention.RetainUntilDate === undefined) throw new Error(`${name} is not locked in compliance mode`);
    return Retention.RetainUntilDate.getTime();
  }

  /** How many versions are kept under names that begin so, whether they are still shown or not; delete markers are none. */
  async versions(prefix: string): Promise<number> {
    const { Versions = [] } = await this.server.client.send(new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: `${PREFIX}/${prefix}` }));
    return Versions.length;
  }

  /** Makes the marks of what is given up so many days older. */
  async ageMarks(cluster: string, days: number): Promise<void> {
    const then = new Date(Date.now() - days * DAY_MS);
    for (const name of await this.names(vaultPaths.tombstones(cluster))) {
      const mark = JSON.parse((await this.vault.readAll(name, 65_536)).toString('utf8')) as object;
      await this.vault.remove(name);
      await this.vault.put(name, JSON.stringify({ ...mark, at: then.toISOString() }));
      await utimes(path.join(this.server.data, BUCKET, PREFIX, name), then, then);
    }
  }

  async stop(): Promise<void> {
    await this.vault.close();
    await this.server.stop();
  }
}
