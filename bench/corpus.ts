/** A registry volume for measuring: blobs whose sizes are spread log-normally, as layers, configurations and manifests are. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BLOBS_ROOT, sha256BlobPath } from '../domain/layout';

/** Median and spread of blob sizes: many manifests of a few KiB, some layers of a hundred MiB, which hold most of the bytes. */
const MEDIAN_BYTES = 96 * 1024;
const SIGMA = 2.4;
const LARGEST_BYTES = 300 * 1024 * 1024;
const WRITE_BYTES = 1 << 20;

/** Adds blobs of about so many bytes in all; content cannot be compressed, as layers cannot. Returns what was added, relative to the volume. */
export async function addBlobs(volume: string, bytes: number, seed: number): Promise<string[]> {
  const random = generator(seed);
  const added: string[] = [];
  for (let left = bytes; left > 0; ) {
    const size = Math.max(1, Math.min(left, LARGEST_BYTES, Math.round(MEDIAN_BYTES * Math.exp(SIGMA * gaussian(random)))));
    added.push(await writeBlob(volume, size));
    left -= size;
  }
  return added;
}

/** Link files of tags and layers, as many as a registry with so many repositories has. */
export async function addLinks(volume: string, repositories: number): Promise<void> {
  for (let n = 0; n < repositories; n++) {
    for (const kind of ['_manifests/tags/latest/current', `_manifests/revisions/sha256/${n}`, `_layers/sha256/${n}`]) {
      const folder = join(volume, 'docker/registry/v2/repositories', `org${n % 20}/app${n}`, kind);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'link'), `sha256:${createHash('sha256').update(String(n)).digest('hex')}`);
    }
  }
}

/** Overwrites a part of the blobs, one percent of the bytes or a little more, and returns how many bytes that were. */
export async function damage(volume: string, share: number): Promise<number> {
  const files = await blobFiles(volume);
  const all = files.reduce((sum, { size }) => sum + size, 0);
  let damaged = 0;
  // From the middle on: neither only large ones nor only small ones.
  for (const { path, size } of files.sort((a, b) => a.size - b.size).slice(Math.floor(files.length * 0.9))) {
    if (damaged >= all * share) break;
    const file = await open(path, 'r+');
    await file.write(randomBytes(16), 0, 16, Math.max(0, Math.floor(size / 2) - 16));
    await file.close();
    damaged += size;
  }
  return damaged;
}

export async function sizeOf(volume: string): Promise<{ blobs: number; bytes: number }> {
  const files = await blobFiles(volume);
  return { blobs: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) };
}

export async function removeBlobs(volume: string, paths: string[]): Promise<void> {
  for (const path of paths) await rm(dirname(join(volume, path)), { recursive: true, force: true });
}

async function blobFiles(volume: string): Promise<{ path: string; size: number }[]> {
  const names = (await readdir(join(volume, BLOBS_ROOT), { recursive: true })).filter((name) => name.endsWith('/data'));
  return Promise.all(names.map(async (name) => ({ path: join(volume, BLOBS_ROOT, name), size: (await stat(join(volume, BLOBS_ROOT, name))).size })));
}

async function writeBlob(volume: string, size: number): Promise<string> {
  const aside = join(volume, '.new');
  await mkdir(volume, { recursive: true });
  const noise = createCipheriv('aes-256-ctr', randomBytes(32), randomBytes(16));
  const hash = createHash('sha256');
  const file = await open(aside, 'w');
  for (let left = size; left > 0; left -= WRITE_BYTES) {
    const chunk = noise.update(Buffer.alloc(Math.min(left, WRITE_BYTES)));
    hash.update(chunk);
    await file.write(chunk);
  }
  await file.close();
  const path = sha256BlobPath(hash.digest('hex'));
  await mkdir(dirname(join(volume, path)), { recursive: true });
  await rename(aside, join(volume, path));
  return path;
}

/** Mulberry32: the same sizes for the same seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
