import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ManifestRow, RepositoryRow } from '../../common/rows';
import { STORAGE_ROOT } from '../context';
import { GC_READ_ONLY_KEY } from '../registry/guard';
import type { JobContext } from './actions';
import { withLeasedKey } from './lock';

const REGISTRY = path.join(STORAGE_ROOT, 'docker/registry/v2');
const BLOBS = path.join(REGISTRY, 'blobs/sha256');

interface References {
  config?: { digest: string };
  layers?: { digest: string }[];
  manifests?: { digest: string }[];
}

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
    if (link !== null) await mark(link.trim().replace('sha256:', ''), own);
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

async function mark(hex: string, marked: Set<string>): Promise<void> {
  if (marked.has(hex)) return;
  marked.add(hex);
  const text = await readFile(path.join(BLOBS, hex.slice(0, 2), hex, 'data'), 'utf8').catch(() => null);
  if (text === null) return;
  const manifest = JSON.parse(text) as References;
  for (const part of [manifest.config, ...(manifest.layers ?? [])]) if (part) marked.add(part.digest.replace('sha256:', ''));
  for (const child of manifest.manifests ?? []) await mark(child.digest.replace('sha256:', ''), marked);
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
