/** The lists that a backup of a very large registry works on; blobs themselves are not needed for that. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import path from 'node:path';
import { formatIndex } from '../adapters/vault/segment-index';
import { openDirectoryVault } from '../adapters/vault/directory';
import { idBlobPath } from '../domain/layout';
import { FORMAT_VERSION, vaultPaths, type StoredBlob } from '../domain/vault-format';

export const CLUSTER = 'million';
const SEGMENTS = 100;
const TAGS_PER_REPOSITORY = 100;
const MEDIA_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';

/** Paths and sizes of all blobs, in the order of a listing. */
export async function makeMillion(folder: string, blobs: number, tags: number): Promise<void> {
  const vault = openDirectoryVault(path.join(folder, 'vault'));
  await vault.check();
  await mkdir(path.join(folder, 'work'), { recursive: true });
  const registry = new Registry(blobs, tags);
  const listing = lines(path.join(folder, 'work', 'listing.jsonl'));
  const perSegment = Math.ceil(blobs / SEGMENTS);
  for (let first = 0; first < blobs; first += perSegment) {
    const stored: StoredBlob[] = [];
    for (let n = first; n < Math.min(blobs, first + perSegment); n++) {
      stored.push({ path: registry.path(n), size: registry.size(n), sha256: registry.digest(n), offset: 512 + (n - first) * 1024, ...registry.refs(n) });
      await listing.add({ path: registry.path(n), size: registry.size(n) });
    }
    const segment = `20261123T020000Z-${String(first).padStart(12, '0')}`;
    const header = { format: FORMAT_VERSION, segment, writtenBy: 'earlier', bytes: 1000, sha256: registry.digest(first), recipients: ['passphrase'], blobs: stored.length, plainBytes: 1000 };
    await vault.put(vaultPaths.segmentIndex(CLUSTER, segment), formatIndex({ header, blobs: stored }));
    // Nobody reads what is in it here; only its size is looked at.
    const file = path.join(folder, 'vault', vaultPaths.segment(CLUSTER, segment));
    await writeFile(file, '');
    await truncate(file, 1000);
  }
  await listing.end();
  const rows = lines(path.join(folder, 'work', 'rows.jsonl'));
  for (const row of registry.rows()) await rows.add(row);
  await rows.end();
  await vault.close?.();
}

/** The first `tags` blobs are manifests, the next ones their configurations, the rest layers that they share. */
class Registry {
  constructor(
    private readonly blobs: number,
    private readonly tags: number,
  ) {}

  digest(n: number): string {
    return createHash('sha256').update(String(n)).digest('hex');
  }

  path(n: number): string {
    return idBlobPath(this.id(n));
  }

  size(n: number): number {
    return n < 2 * this.tags ? 2000 + (n % 500) : 1_000_000 + n;
  }

  refs(n: number): { refs?: StoredBlob['refs'] } {
    return n < this.tags ? { refs: { mediaType: MEDIA_TYPE, config: this.digest(this.tags + n), layers: this.layers(n).map((layer) => this.digest(layer)) } } : {};
  }

  *rows(): Generator<object> {
    for (let n = 0; n < this.tags / TAGS_PER_REPOSITORY; n++) yield { table: 'repositories', repository: this.repository(n * TAGS_PER_REPOSITORY), visibility: 'private', owner: { id: `o${n % 20}`, name: `org${n % 20}` } };
    for (let n = 0; n < this.blobs; n++) yield { table: 'blobs', id: this.id(n), sha256: this.digest(n) };
    for (let n = 0; n < this.tags; n++) {
      const layers = this.layers(n).map((layer) => this.digest(layer));
      yield { table: 'manifests', repository: this.repository(n), digest: this.digest(n), config: this.digest(this.tags + n), layers, foreign: [], manifests: [] };
      for (const digest of layers) yield { table: 'blob_links', repository: this.repository(n), digest };
      yield { table: 'tags', repository: this.repository(n), name: `v${n % TAGS_PER_REPOSITORY}`, digest: this.digest(n), changedAt: '2026-01-01T00:00:00Z' };
    }
  }

  private id(n: number): string {
    return createHash('md5').update(`id${n}`).digest('hex');
  }

  private repository(n: number): string {
    const number = Math.floor(n / TAGS_PER_REPOSITORY);
    return `org${number % 20}/app${number}`;
  }

  /** Three of its own and two that it shares with others. */
  private layers(n: number): number[] {
    const first = 2 * this.tags;
    const count = this.blobs - first;
    return [...new Set([0, 1, 2].map((k) => first + ((n * 3 + k) % count)).concat([first + (n % 97), first + (n % 31)]))];
  }
}

function lines(file: string): { add(row: object): Promise<void>; end(): Promise<void> } {
  const stream = createWriteStream(file);
  return {
    add: async (row) => {
      if (!stream.write(`${JSON.stringify(row)}\n`)) await once(stream, 'drain');
    },
    end: async () => {
      stream.end();
      await once(stream, 'close');
    },
  };
}
