/** A registry volume as Distribution (`sha256`) or DTR 2.6+ (`id`) writes it, the same for the same seed. */
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { idBlobPath, REGISTRY_ROOT, sha256BlobPath, type BlobLayout } from '../../domain/layout';

export interface TreeOptions {
  layout: BlobLayout;
  seed: number;
  repositories?: number;
  tags?: number;
  /** Bytes of each layer. */
  layerBytes?: number;
}

export interface TreeBlob {
  path: string;
  size: number;
  sha256: string;
}

export interface RegistryTree {
  layout: BlobLayout;
  blobs: TreeBlob[];
  /** What `blobs` name, by path. */
  content: Map<string, Buffer>;
  /** Everything else, uploads in flight included, by path. */
  others: Map<string, Buffer>;
  tags: { repository: string; tag: string; digest: string }[];
}

/** Several repositories with shared layers, and one multi-architecture index each. */
export function makeRegistryTree(options: TreeOptions): RegistryTree {
  const { layout, seed, repositories = 2, tags = 2, layerBytes = 10_000 } = options;
  const tree: RegistryTree = { layout, blobs: [], content: new Map(), others: new Map(), tags: [] };
  const known = new Set<string>();
  const addBlob = (data: Buffer): string => {
    const sha256 = createHash('sha256').update(data).digest('hex');
    if (known.has(sha256)) return sha256;
    known.add(sha256);
    const path = layout === 'sha256' ? sha256BlobPath(sha256) : idBlobPath(createHash('md5').update(`${seed}${sha256}`).digest('hex'));
    tree.blobs.push({ path, size: data.length, sha256 });
    tree.content.set(path, data);
    return sha256;
  };
  const sizeOf = (digest: string): number => tree.blobs.find(({ sha256 }) => sha256 === digest)!.size;
  const shared = addBlob(randomLike(seed, layerBytes));
  for (let r = 0; r < repositories; r += 1) {
    const repository = `org${r % 2}/app${r}`;
    const base = `${REGISTRY_ROOT}/repositories/${repository}`;
    tree.others.set(`${base}/_uploads/0000-${r}/data`, Buffer.from('half an upload'));
    tree.others.set(`${base}/_uploads/0000-${r}/startedat`, Buffer.from('2026-11-23T02:00:00Z'));
    const link = (path: string, sha256: string): unknown => layout === 'sha256' && tree.others.set(`${base}/${path}/link`, Buffer.from(`sha256:${sha256}`));
    for (let t = 0; t < tags; t += 1) {
      const image = (architecture: string): string => {
        const layer = addBlob(randomLike(seed * 1000 + r * 100 + t * 10 + architecture.length, layerBytes + t));
        const config = addBlob(json({ architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] } }));
        const manifest = addBlob(
          json({
            schemaVersion: 2,
            mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
            config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: `sha256:${config}`, size: sizeOf(config) },
            layers: [shared, layer].map((digest) => ({ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: `sha256:${digest}`, size: sizeOf(digest) })),
          }),
        );
        for (const digest of [shared, layer, config]) link(`_layers/sha256/${digest}`, digest);
        link(`_manifests/revisions/sha256/${manifest}`, manifest);
        return manifest;
      };
      const digest =
        t === 0
          ? addBlob(json({ schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json', manifests: ['amd64', 'arm64/v8'].map((arch) => ({ digest: `sha256:${image(arch)}`, platform: { architecture: arch } })) }))
          : image('amd64');
      link(`_manifests/revisions/sha256/${digest}`, digest);
      link(`_manifests/tags/v${t}/current`, digest);
      link(`_manifests/tags/v${t}/index/sha256/${digest}`, digest);
      tree.tags.push({ repository, tag: `v${t}`, digest });
    }
  }
  return tree;
}

/** Writes the tree below a directory, which becomes the volume's root. */
export async function writeRegistryTree(root: string, tree: RegistryTree): Promise<void> {
  for (const [path, data] of [...tree.content, ...tree.others]) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), data);
  }
}

/** Bytes that do not compress, by seed. */
export function randomLike(seed: number, bytes: number): Buffer {
  return createCipheriv('aes-128-ctr', createHash('md5').update(String(seed)).digest(), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value, null, 3));
}
