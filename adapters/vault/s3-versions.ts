/** In a bucket with object lock a removed name leaves its versions behind, each until its lock has ended. */
import { DeleteObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { isSurelyOurs } from './inventory';
import type { S3Connection } from './s3-client';
import { isAnswer, statusOf } from './s3-errors';
import type { ObjectLock } from './s3-lock';

interface Version {
  id: string;
  modified: number;
  isLatest: boolean;
  isMarker: boolean;
}

/**
 * Removes for good what `remove` has hidden and no lock holds any more; returns how many objects. What was overwritten without having been removed is
 * left alone: Drydock never does that, so it may be the good one.
 */
export async function removeExpiredVersions(connection: S3Connection, lock: ObjectLock, signal?: AbortSignal): Promise<number> {
  let removed = 0;
  const now = await connection.now();
  const clusters = new Set<string>();
  for await (const [key, versions] of versionsByKey(connection)) {
    signal?.throwIfAborted();
    const isOurs = isSurelyOurs(key.slice(connection.prefix.length), clusters);
    const markers = versions.filter(({ isMarker }) => isMarker);
    if (markers.length === 0 || !isOurs) continue;
    const left = new Set(versions.filter(({ isMarker }) => !isMarker));
    for (const version of [...left]) {
      if (!isHidden(version, markers) || !(await removeVersion(connection, lock, key, version, now))) continue;
      left.delete(version);
      removed += 1;
    }
    // A marker goes when nothing would come to light without it, whatever the times say; the newest last.
    for (const marker of markers.sort((a, b) => Number(a.isLatest) - Number(b.isLatest) || a.modified - b.modified)) {
      const isNeeded = [...left].some(({ isLatest, modified }) => !isLatest && (marker.isLatest || modified <= marker.modified));
      if (!isNeeded) await removeVersion(connection, lock, key, marker, now);
    }
  }
  return removed;
}

/** Behind a newest marker everything is hidden; else only what is surely older than a marker. */
function isHidden({ modified, isLatest }: Version, markers: Version[]): boolean {
  return !isLatest && markers.some((marker) => marker.isLatest || modified < marker.modified);
}

/** False when it is locked still. */
async function removeVersion(connection: S3Connection, lock: ObjectLock, key: string, { id }: Version, now: Date): Promise<boolean> {
  const version = { Bucket: connection.bucket, Key: key, VersionId: id };
  try {
    await connection.calls.send(new DeleteObjectCommand(version));
    return true;
  } catch (error) {
    if (statusOf(error) === 404 || isAnswer(error, 'NoSuchVersion')) return true;
    if (statusOf(error) !== 403) throw connection.toError(error, `remove an old version of ${key}`);
    // Locked, or not allowed at all: that must not go unseen for years. A legal hold has no date and is a person's wish.
    const { until } = await connection.run(`look at the lock of ${key}`, () => lock.retentionOf(version));
    if (until === undefined || until > now || isAnswer(error, 'ObjectLocked')) return false;
    throw connection.toError(error, `remove an old version of ${key}`);
  }
}

/** All versions of one key after the other. */
async function* versionsByKey(connection: S3Connection): AsyncGenerator<[string, Version[]]> {
  let current: [string, Version[]] | null = null;
  for (let KeyMarker: string | undefined, VersionIdMarker: string | undefined, isMore = true; isMore; ) {
    const page = await connection.run('list old versions', () =>
      connection.calls.send(new ListObjectVersionsCommand({ Bucket: connection.bucket, Prefix: connection.prefix, KeyMarker, VersionIdMarker })));
    const found = [...(page.Versions ?? []).map((each) => ({ ...each, isMarker: false })), ...(page.DeleteMarkers ?? []).map((each) => ({ ...each, isMarker: true }))];
    for (const { Key = '', VersionId: id = 'null', LastModified, IsLatest, isMarker } of found.sort((a, b) => ((a.Key ?? '') < (b.Key ?? '') ? -1 : a.Key === b.Key ? 0 : 1))) {
      if (current && current[0] !== Key) {
        yield current;
        current = null;
      }
      current ??= [Key, []];
      current[1].push({ id, modified: LastModified?.getTime() ?? 0, isLatest: IsLatest ?? false, isMarker });
    }
    ({ NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker, IsTruncated: isMore = false } = page);
  }
  if (current) yield current;
}
