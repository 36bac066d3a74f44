/** The lists that a backup of a very large registry works on; blobs themselves are not needed for that. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import path from 'node:path';
import { formatIndex } from '../adapters/vault/segment-index';
import { openDirectoryVault } from '../adapters/vault/directory';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../adapters/archive/tar-header';
import { BLOBS_ROOT, idBlobPath, REGISTRY_ROOT, sha256BlobPath, type BlobLayout } from '../domain/layout';
import type { MetadataRow } from '../domain/rows';
import { FORMAT_VERSION, vaultPaths, type StoredBlob } from '../domain/vault-format';

export const CLUSTER = 'million';
const SEGMENTS = 100;
const TAGS_PER_REPOSITORY = 100;
const MEDIA_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';

/** Segments hold zeros: nothing reads them but the hash that a backup makes of those that no manifest names. */
const SEGMENT_BYTES = 1000;
const SEGMENT_SHA256 = createHash('sha256').update(Buffer.alloc(SEGMENT_BYTES)).digest('hex');

/**
 * Into `folder`: the vault's indexes; what `find` prints of the volume (`listing`) and what `tar` sends of its link tree, of which only the current links of tags are
 * there (`tree.tar`; nothing by id); and the rows that were read from the metadata (`work/*.jsonl`).
 */
export async function makeMillion(folder: string, blobs: number, tags: number, layout: BlobLayout): Promise<void> {
  await mkdir(path.join(folder, 'work'), { recursive: true });
  const vault = openDirectoryVault(path.join(folder, 'vault'));
  await vault.check();
  const registry = new Registry(blobs, tags, layout);
  const listing = writer(path.join(folder, 'listing'));
  const perSegment = Math.ceil(blobs / SEGMENTS);
  for (let first = 0; first < blobs; first += perSegment) {
    const stored: StoredBlob[] = [];
    for (let n = first; n < Math.min(blobs, first + perSegment); n++) {
      stored.push({ path: registry.path(n), size: registry.size(n), sha256: registry.digest(n), offset: 512 + (n - first) * 1024, ...registry.refs(n) });
      await listing.add(`${registry.path(n).slice(BLOBS_ROOT.length + 1)}\0${registry.size(n)}\x001700000000.5\0`);
    }
    const segment = `20261123T020000Z-${String(first).padStart(12, '0')}`;
    const header = { format: FORMAT_VERSION, segment, writtenBy: 'earlier', bytes: SEGMENT_BYTES, sha256: SEGMENT_SHA256, recipients: ['passphrase'], blobs: stored.length, plainBytes: SEGMENT_BYTES };
    await vault.put(vaultPaths.segmentIndex(CLUSTER, segment), formatIndex({ header, blobs: stored }));
    // Nobody reads what is in it here; only its size is looked at.
    const file = path.join(folder, 'vault', vaultPaths.segment(CLUSTER, segment));
    await writeFile(file, '');
    await truncate(file, SEGMENT_BYTES);
  }
  await listing.end();
  const [rows, links] = ['rows.jsonl', 'blob-links.jsonl'].map((name) => writer(path.join(folder, 'work', name))) as [Writer, Writer];
  for (const row of registry.rows()) await (row.table === 'blob_links' ? links : rows).add(`${JSON.stringify(row)}\n`);
  await rows.end();
  await links.end();
  const tree = writer(path.join(folder, 'tree.tar'));
  for (const member of registry.links()) await tree.add(member);
  await tree.add(END_OF_ARCHIVE);
  await tree.end();
  await vault.close();
}

/** The first `tags` blobs are manifests, the next ones their configurations, the rest layers that they share. */
class Registry {
  constructor(
    private readonly blobs: number,
    private readonly tags: number,
    private readonly layout: BlobLayout,
  ) {}

  digest(n: number): string {
    return createHash('sha256').update(String(n)).digest('hex');
  }

  path(n: number): string {
    return this.layout === 'id' ? idBlobPath(this.id(n)) : sha256BlobPath(this.digest(n));
  }

  size(n: number): number {
    return n < 2 * this.tags ? 2000 + (n % 500) : 1_000_000 + n;
  }

  refs(n: number): { refs?: StoredBlob['refs'] } {
    return n < this.tags ? { refs: { mediaType: MEDIA_TYPE, config: this.digest(this.tags + n), layers: this.layers(n).map((layer) => this.digest(layer)) } } : {};
  }

  *rows(): Generator<MetadataRow> {
    for (let n = 0; n < this.tags / TAGS_PER_REPOSITORY; n++) yield { table: 'repositories', repository: this.repository(n * TAGS_PER_REPOSITORY), visibility: 'private', owner: { id: `o${n % 20}`, name: `org${n % 20}` } };
    for (let n = 0; this.layout === 'id' && n < this.blobs; n++) yield { table: 'blobs', id: this.id(n), sha256: this.digest(n) };
    for (let n = 0; n < this.tags; n++) {
      const layers = this.layers(n).map((layer) => this.digest(layer));
      yield { table: 'manifests', repository: this.repository(n), digest: this.digest(n), config: this.digest(this.tags + n), layers, foreign: [], manifests: [] };
      if (this.layout === 'id') for (const digest of layers) yield { table: 'blob_links', repository: this.repository(n), digest };
      yield { table: 'tags', repository: this.repository(n), name: `v${n % TAGS_PER_REPOSITORY}`, digest: this.digest(n), changedAt: '2026-01-01T00:00:00Z' };
    }
  }

  *links(): Generator<Buffer> {
    for (let n = 0; this.layout === 'sha256' && n < this.tags; n++) {
      const link = Buffer.from(`sha256:${this.digest(n)}`);
      const name = `${REGISTRY_ROOT}/repositories/${this.repository(n)}/_manifests/tags/v${n % TAGS_PER_REPOSITORY}/current/link`;
      yield Buffer.concat([makeHeader({ name, type: 'file', size: link.length }), link, Buffer.alloc(paddingOf(link.length))]);
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

interface Writer {
  add(part: string | Buffer): Promise<void>;
  end(): Promise<void>;
}

function writer(file: string): Writer {
  const stream = createWriteStream(file);
  return {
    add: async (part) => {
      if (!stream.write(part)) await once(stream, 'drain');
    },
    end: async () => {
      stream.end();
      await once(stream, 'close');
    },
  };
}
