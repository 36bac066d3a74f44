import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Writes a small image of random layers as skopeo's `dir:` wants it; returns the manifest's digest. */
export function writeImage(folder: string, layers = 2, bytes = 20_000): string {
  mkdirSync(folder, { recursive: true });
  const put = (content: Buffer): { digest: string; size: number } => {
    writeFileSync(path.join(folder, digestOf(content)), content);
    return { digest: `sha256:${digestOf(content)}`, size: content.length };
  };
  const contents = Array.from({ length: layers }, () => randomBytes(bytes));
  const config = put(Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: contents.map((content) => `sha256:${digestOf(content)}`) } })));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'application/vnd.docker.container.image.v1+json', ...config },
      layers: contents.map((content) => ({ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', ...put(gzipSync(content)) })),
    }),
  );
  writeFileSync(path.join(folder, 'manifest.json'), manifest);
  writeFileSync(path.join(folder, 'version'), 'Directory Transport Version: 1.1\n');
  return `sha256:${digestOf(manifest)}`;
}
