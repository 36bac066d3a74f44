import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { partsOfDigest } from '../../../../domain/digest';
import { readImageManifest } from '../../../../domain/image-manifest';
import type { ManifestRow, RepositoryRow } from '../../common/rows';
import { STORAGE_ROOT } from '../context';
import { GC_READ_ONLY_KEY } from '../registry/guard';
import type { JobContext } from './actions';
import { withLeasedKey } from './lock';

const REGISTRY = path.join(STORAGE_ROOT, 'docker/registry/v2');
const BLOBS = path.join(REGISTRY, 'blobs/sha256');

/** The old way: the registry takes no pushes while everything that no tag leads to is swept off the disk. */
export async function collectByDigest(job: JobContext): Promise<void> {
  await withLeasedKey(job.context, GC_READ_ONLY_KEY, job.job.id, async () => {
    const marked = new Set<string>();
    let links = 0;
    for (const repository of await job.context.store.all<RepositoryRow>('repositories')) {
      await job.checkCanceled();
      links += await sweepRepository(job, `${repository.namespace}/${repository.name}`, marked);
    }
    const removed = await sweepBlobs(marked);
    await job.log(`gc: removed ${removed} blobs and ${links} manifest revisions`);
  });
}

/** Adds what the repository's tags lead to to `marked`; removes the links of all other revisions and layers. */
async function sweepRepository(job: JobContext, name: string, marked: Set<string>): Promise<number> {
  const folder = path.join(REGISTRY, 'repositories', name);
  const own = new Set<string>();
  for (const tag of await list(path.join(folder, '_manifests/tags'))) {
    const link = await readFile(path.join(folder, '_manifests/tags', tag, 'current/link'), 'utf8').catch(() => null);
    if (link !== null) await mark(folder, link.trim().replace('sha256:', ''), own);
  }
  let removed = 0;
  for (const kind of ['_manifests/revisions/sha256', '_layers/sha256']) {
    for (const hex of await list(path.join(folder, kind))) {
      if (own.has(hex)) continue;
      await rm(path.join(folder, kind, hex), { recursive: true, force: true });
      removed += 1;
    }
  }
  for (const row of await job.context.store.all<ManifestRow>('manifests', `${name}@`)) {
    if (!own.has(row.digest.replace('sha256:', ''))) await job.context.store.delete('manifests', row.pk);
  }
  for (const hex of own) marked.add(hex);
  return removed;
}

/** Follows a manifest; what is none, such as a layer that an index names, is kept as it is. */
async function mark(folder: string, hex: string, marked: Set<string>): Promise<void> {
  if (marked.has(hex)) return;
  marked.add(hex);
  const content = await readFile(path.join(BLOBS, hex.slice(0, 2), hex, 'data')).catch(() => null);
  const manifest = content && readImageManifest(content);
  if (!manifest) return;
  for (const { digest } of [...(manifest.config ? [manifest.config] : []), ...manifest.layers]) if (digest !== null) marked.add(await sha256Of(folder, digest));
  for (const { digest } of manifest.manifests) if (digest !== null) await mark(folder, await sha256Of(folder, digest), marked);
}

/** Content that is named by another algorithm has a link that says its SHA-256. */
async function sha256Of(folder: string, digest: string): Promise<string> {
  const { algorithm, encoded } = partsOfDigest(digest);
  if (algorithm === 'sha256') return encoded;
  const link = await readFile(path.join(folder, '_layers', algorithm, encoded, 'link'), 'utf8').catch(() => '');
  return link.trim().replace('sha256:', '');
}

async function sweepBlobs(marked: Set<string>): Promise<number> {
  let removed = 0;
  for (const shard of await list(BLOBS)) {
    for (const hex of await list(path.join(BLOBS, shard))) {
      if (marked.has(hex)) continue;
      await rm(path.join(BLOBS, shard, hex), { recursive: true, force: true });
      removed += 1;
    }
  }
  return removed;
}

function list(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
