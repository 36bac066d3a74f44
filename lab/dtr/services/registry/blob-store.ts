import { createHash, randomUUID, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream, type ReadStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Op } from '../../common/etcd';
import { HttpError } from '../../common/http';
import { now, type BlobLinkRow, type BlobRow } from '../../common/rows';
import { rowKey, type Store } from '../../common/store';
import { STORAGE_ROOT } from '../context';

const REGISTRY = path.join(STORAGE_ROOT, 'docker/registry/v2');
/** Digest -> id, so that content is kept once. No table of its own: it is made again from the rows of `blobs`. */
const INDEX = '/dtr/index/blobs/';
const OCTETS = 'application/octet-stream';

export function blobFile(id: string): string {
  return path.join(REGISTRY, 'blobs/id', id.slice(0, 2), id, 'data');
}

const UPLOAD_ID = /^[0-9a-f-]{36}$/;

function uploadFile(repository: string, id: string): string {
  return path.join(REGISTRY, 'repositories', repository, '_uploads', id, 'data');
}

export function linkKey(repository: string, digest: string): string {
  return `${repository}@${digest}`;
}

/** An upload in flight: a file in the volume, so that any replica can go on with it. */
export interface Upload {
  id: string;
  repository: string;
  file: string;
  size: number;
}

/** A hash over the first bytes of an upload, kept where its chunks came through this replica. */
interface RunningHash {
  hash: Hash;
  size: number;
}

/** Makes the index again after rows were loaded from an archive. */
export async function rebuildIndex(store: Store): Promise<void> {
  await store.etcd.deletePrefix(INDEX);
  let batch = new Map<string, string>();
  const flush = async (): Promise<void> => {
    await store.etcd.transact([], [...batch].map(([key, value]) => ({ put: { key, value } })));
    batch = new Map();
  };
  for await (const row of store.rows<BlobRow>('blobs')) {
    batch.set(INDEX + row.sha256sum, row.id);
    if (batch.size >= 100) await flush();
  }
  await flush();
}

/** Operations that take a blob out of the metadata. */
export function forgetOps(row: BlobRow): Op[] {
  return [{ delete: { key: rowKey('blobs', row.id) } }, { delete: { key: INDEX + row.sha256sum } }];
}

/** Blobs of the newer layout: files by id in the volume, digests and links to repositories in the metadata only. */
export class BlobStore {
  private readonly hashes = new Map<string, RunningHash>();

  constructor(private readonly store: Store) {}

  /** The blob's row when the repository has it; null otherwise. */
  async find(repository: string, digest: string): Promise<BlobRow | null> {
    const link = await this.store.get<BlobLinkRow>('blob_links', linkKey(repository, digest));
    return link ? this.byDigest(digest) : null;
  }

  async byDigest(digest: string): Promise<BlobRow | null> {
    const id = await this.store.etcd.get(INDEX + digest);
    return id ? this.store.get<BlobRow>('blobs', id.value) : null;
  }

  /** Opens the data; a row without its file is an unknown blob, as with DTR. */
  async open(row: BlobRow, range?: { start: number; end: number }): Promise<ReadStream> {
    const file = blobFile(row.id);
    const info = await stat(file).catch(() => null);
    if (!info) throw new HttpError(404, 'BLOB_UNKNOWN', 'blob unknown to registry', {}, row.sha256sum);
    return createReadStream(file, range);
  }

  async link(repository: string, digest: string): Promise<void> {
    const slash = repository.indexOf('/');
    const row: BlobLinkRow = { pk: linkKey(repository, digest), namespace: repository.slice(0, slash), repository: repository.slice(slash + 1), digest, createdAt: now() };
    await this.store.put('blob_links', row);
  }

  async start(repository: string): Promise<Upload> {
    const id = randomUUID();
    const file = uploadFile(repository, id);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, '');
    this.hashes.set(id, { hash: createHash('sha256'), size: 0 });
    return { id, repository, file, size: 0 };
  }

  async upload(repository: string, id: string): Promise<Upload> {
    const file = uploadFile(repository, id);
    const info = UPLOAD_ID.test(id) ? await stat(file).catch(() => null) : null;
    if (!info) throw new HttpError(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
    return { id, repository, file, size: info.size };
  }

  async append(upload: Upload, data: Readable): Promise<void> {
    const known = this.hashes.get(upload.id);
    const running = known?.size === upload.size ? known : null;
    this.hashes.delete(upload.id);
    const measure = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        running?.hash.update(chunk);
        upload.size += chunk.length;
        yield chunk;
      }
    };
    await pipeline(data, measure, createWriteStream(upload.file, { flags: 'a' }));
    if (running) this.hashes.set(upload.id, { hash: running.hash, size: upload.size });
  }

  async cancel(upload: Upload): Promise<void> {
    this.hashes.delete(upload.id);
    await rm(path.dirname(upload.file), { recursive: true, force: true });
  }

  private async digestOf(upload: Upload): Promise<string> {
    const known = this.hashes.get(upload.id);
    if (known?.size === upload.size) return `sha256:${known.hash.digest('hex')}`;
    const hash = createHash('sha256');
    await pipeline(createReadStream(upload.file), hash);
    return `sha256:${hash.digest('hex')}`;
  }

  /** Ends an upload: the bytes must be what the digest says. Content that is there already is kept once. */
  async commit(upload: Upload, digest: string, mediaType = OCTETS): Promise<BlobRow> {
    const actual = await this.digestOf(upload);
    if (actual !== digest) {
      await this.cancel(upload);
      throw new HttpError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', {}, { digest, actual });
    }
    const existing = await this.byDigest(digest);
    if (existing && (await stat(blobFile(existing.id)).catch(() => null))) {
      await this.cancel(upload);
      await this.link(upload.repository, digest);
      return existing;
    }
    const row = await this.keep(upload, digest, mediaType);
    await this.link(upload.repository, digest);
    return row;
  }

  private async keep(upload: Upload, digest: string, mediaType: string): Promise<BlobRow> {
    const row: BlobRow = { id: randomUUID(), sha256sum: digest, size: upload.size, mediaType, createdAt: now() };
    const target = blobFile(row.id);
    await mkdir(path.dirname(target), { recursive: true });
    await rename(upload.file, target);
    await this.cancel(upload);
    const index = INDEX + digest;
    const known = await this.store.etcd.get(index);
    await this.store.etcd.transact([{ key: index, revision: known?.revision ?? '0' }], [{ put: { key: rowKey('blobs', row.id), value: JSON.stringify(row) } }, { put: { key: index, value: row.id } }]);
    return (await this.byDigest(digest)) ?? row;
  }

  /** Small content that did not come as an upload: manifests. */
  async putBytes(repository: string, digest: string, bytes: Buffer, mediaType: string): Promise<BlobRow> {
    const upload = await this.start(repository);
    await this.append(upload, Readable.from([bytes]));
    return this.commit(upload, digest, mediaType);
  }
}
