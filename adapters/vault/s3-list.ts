/** The names in a bucket, page by page, from servers old and new. */
import { ListObjectsCommand, ListObjectsV2Command, type ListObjectsCommandOutput, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-client';
import { notS3, statusOf } from './s3-errors';

export interface ListedObject {
  Key?: string;
  Size?: number;
  LastModified?: Date;
}

/** All objects whose keys begin with this. `doing` is a verb phrase. */
export async function* objectsUnder(connection: S3Connection, prefix: string, doing: string): AsyncGenerator<ListedObject> {
  let after: string | undefined;
  for (let token: string | undefined, isMore = true; isMore; ) {
    const page = await connection.run(doing, () => onePage(connection, prefix, token, after));
    const { Contents: found = [] } = page;
    yield* found;
    isMore = page.IsTruncated ?? false;
    token = 'NextContinuationToken' in page ? page.NextContinuationToken : undefined;
    // A server that knows the first form of listings only goes on behind a name.
    after = isMore && token === undefined ? (('NextMarker' in page ? page.NextMarker : undefined) ?? found.at(-1)?.Key) : undefined;
    if (isMore && token === undefined && after === undefined) throw notS3(connection.description, doing, 'a listing that has no end and no names');
  }
}

async function onePage(connection: S3Connection, Prefix: string, ContinuationToken: string | undefined, Marker: string | undefined): Promise<ListObjectsV2CommandOutput | ListObjectsCommandOutput> {
  const place = { Bucket: connection.bucket, Prefix };
  const first = (): Promise<ListObjectsCommandOutput> => connection.calls.send(new ListObjectsCommand({ ...place, Marker }));
  const page = Marker !== undefined || connection.listsOldForm ? await first() : await connection.calls.send(new ListObjectsV2Command({ ...place, ContinuationToken })).catch((error: unknown) => {
    if (statusOf(error) !== 501 && statusOf(error) !== 405) throw error;
    connection.listsOldForm = true;
    return first();
  });
  // An empty answer must not pass for an empty vault.
  const isListing = [page.Name, page.Prefix, page.IsTruncated, page.MaxKeys, page.Contents].some((field) => field !== undefined);
  if (!isListing) throw notS3(connection.description, 'list', 'an empty answer');
  return page;
}
