import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { BlobLinkRow, BlobRow, ManifestRow, TagRow } from '../../common/rows';
import { readKnob } from '../api/lab';
import { STORAGE_ROOT } from '../context';
import { blobFile, forgetOps } from '../registry/blob-store';
import { requiredBlobs } from '../registry/manifest';
import type { JobContext } from './actions';

const BLOBS = path.join(STORAGE_ROOT, 'docker/registry/v2/blobs/id');
/** New content may belong to a push that goes on: it is left alone for this long. */
const GRACE_SECONDS = 20;

async function cutoff({ context, job }: JobContext): Promise<number> {
  const asked = job.parameters?.graceSeconds;
  const seconds = asked === undefined ? await readKnob(context, 'gcGraceSeconds', GRACE_SECONDS) : Number(asked);
  return Date.now() - seconds * 1000;
}

const older = (at: string, limit: number): boolean => Date.parse(at) < limit;

/** Marks from the tags, then sweeps manifests and links that nothing refers to any more. */
export async function collectMetadata(job: JobContext): Promise<void> {
  const { store } = job.context;
  const limit = await cutoff(job);
  const manifests = new Map((await store.all<ManifestRow>('manifests')).map((row) => [row.pk, row]));
  const kept = new Set<string>();
  const mark = (pk: string): void => {
    const row = manifests.get(pk);
    if (!row || kept.has(pk)) return;
    kept.add(pk);
    for (const child of row.manifests ?? []) mark(`${row.repository}@${child}`);
  };
  for await (const tag of store.rows<TagRow>('tags')) mark(tag.digestPK);
  for (const row of manifests.values()) if (!older(row.createdAt, limit)) mark(row.pk);

  let swept = 0;
  const links = new Set<string>();
  for (const row of manifests.values()) {
    if (!kept.has(row.pk)) {
      await store.delete('manifests', row.pk);
      swept += 1;
      continue;
    }
    links.add(row.pk);
    for (const digest of requiredBlobs(row)) links.add(`${row.repository}@${digest}`);
  }
  let unlinked = 0;
  for (const link of await store.all<BlobLinkRow>('blob_links')) {
    if (links.has(link.pk) || !older(link.createdAt, limit)) continue;
    await store.delete('blob_links', link.pk);
    unlinked += 1;
  }
  await job.log(`onlinegc_metadata: removed ${swept} manifests and ${unlinked} blob links`);
}

/** Sweeps blobs that no repository links to, and files that the metadata does not know. */
export async function collectBlobs(job: JobContext): Promise<void> {
  const { store } = job.context;
  const limit = await cutoff(job);
  const linked = new Set<string>();
  for await (const link of store.rows<BlobLinkRow>('blob_links')) linked.add(link.digest);
  const known = new Set<string>();
  let removed = 0;
  for (const row of await store.all<BlobRow>('blobs')) {
    if (linked.has(row.sha256sum) || !older(row.createdAt, limit)) {
      known.add(row.id);
      continue;
    }
    await store.etcd.transact([], forgetOps(row));
    await removeFile(row.id);
    removed += 1;
  }
  const strays = await strayFiles(known, limit);
  for (const id of strays) await removeFile(id);
  await job.log(`onlinegc_blobs: removed ${removed} blobs and ${strays.length} unknown files`);
}

async function strayFiles(known: Set<string>, limit: number): Promise<string[]> {
  const strays: string[] = [];
  for (const shard of await readdir(BLOBS).catch(() => [])) {
    for (const id of await readdir(path.join(BLOBS, shard)).catch(() => [])) {
      const info = known.has(id) ? null : await stat(blobFile(id)).catch(() => null);
      if (info && info.ctimeMs < limit) strays.push(id);
    }
  }
  return strays;
}

async function removeFile(id: string): Promise<void> {
  const folder = path.dirname(blobFile(id));
  await rm(folder, { recursive: true, force: true });
  // The shard goes with its last blob; another one in it is no error.
  await rmdir(path.dirname(folder)).catch(() => undefined);
}
