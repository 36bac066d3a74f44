/**
 * Create-if-absent where a server has no conditional writes. Whoever wants to write a name first puts a claim, then lists the claims on it. Of two
 * writers, the one who lists later sees the other's claim; so who sees none but its own is alone until it removes it. All others take their claims back.
 */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { DrydockError } from '../../domain/errors';
import type { S3Connection } from './s3-client';
import { objectsUnder, type ListedObject } from './s3-list';

/** Starts with a dot, so no name of the vault can reach it. */
export const CLAIMS = '.drydock-tmp/claims/';
/** A writer does not write after it has held its claim for this long. */
const HOLD_MS = 5 * 60 * 1000;
/** A claim this old has lost its writer: nothing that the writer could still have on its way is as old. */
const STALE_MS = 24 * 60 * 60 * 1000;
const PATIENCE_MS = 60_000;
const LARGEST_PAUSE_MS = 2_000;

export interface ClaimTools {
  connection: S3Connection;
  /** Writes an empty object of a key that nobody else can have; returns its version where the bucket has versions. */
  putClaim(key: string): Promise<string | undefined>;
  /** Throws Conflict when the name is taken. */
  refuseTaken(): Promise<void>;
}

/** Runs `work` while no other writer can be writing `name`, which is known to be free then. Throws Conflict, or Busy when others stand in the way for a minute. */
export async function withClaim(name: string, tools: ClaimTools, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const { connection } = tools;
  const prefix = connection.key(`${CLAIMS}${createHash('sha256').update(name).digest('hex')}-`);
  const giveUp = Date.now() + PATIENCE_MS;
  for (let pause = 50; ; pause = Math.min(2 * pause, LARGEST_PAUSE_MS)) {
    const own = prefix + randomBytes(12).toString('hex');
    const from = Date.now();
    let version: string | undefined;
    try {
      version = await tools.putClaim(own);
      if (await isAlone(connection, prefix, own)) {
        // Whoever was here before has written the name or has not: from now on nobody else can.
        await tools.refuseTaken();
        if (Date.now() - from > HOLD_MS) throw busy(name);
        return await work(AbortSignal.timeout(HOLD_MS));
      }
    } finally {
      await removeTemporary(connection, own, version);
    }
    await tools.refuseTaken();
    if (Date.now() > giveUp) throw busy(name);
    await sleep(pause * (0.5 + Math.random()));
  }
}

async function isAlone(connection: S3Connection, prefix: string, own: string): Promise<boolean> {
  const claims: ListedObject[] = [];
  for await (const claim of objectsUnder(connection, prefix, 'look for claims')) claims.push(claim);
  if (!claims.some(({ Key }) => Key === own)) {
    throw new DrydockError('Refused', `${connection.description} does not list at once what was written, and has no conditional writes either`, { remedy: 'use a server that knows If-None-Match, or lists consistently' });
  }
  const now = (await connection.now()).getTime();
  let others = 0;
  for (const { Key, LastModified } of claims) {
    if (Key === undefined || Key === own) continue;
    if (LastModified && now - LastModified.getTime() > STALE_MS) await removeTemporary(connection, Key);
    else others += 1;
  }
  return others === 0;
}

/** For good where that is allowed: in a bucket with versions the name alone would leave two of them. */
export async function removeTemporary(connection: S3Connection, key: string, VersionId?: string): Promise<void> {
  const object = { Bucket: connection.bucket, Key: key };
  if (VersionId !== undefined) {
    const isGone = await connection.calls.send(new DeleteObjectCommand({ ...object, VersionId })).then(() => true, () => false);
    if (isGone) return;
  }
  await connection.calls.send(new DeleteObjectCommand(object)).catch(() => undefined);
}

function busy(name: string): DrydockError {
  return new DrydockError('Busy', `another writer has claimed ${name}`, { remedy: 'try again; a claim that its writer left behind counts for nothing after a day' });
}
