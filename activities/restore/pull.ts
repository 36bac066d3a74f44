/** A pull by digest, without keeping anything: manifest, configuration and layers, children of an index included. */
import { z } from 'zod';
import type { Registry } from '../../adapters/registry/registry';
import { DrydockError } from '../../domain/errors';

const descriptor = z.looseObject({ digest: z.string(), urls: z.array(z.string()).nullish() });
/** Image manifests, indexes and the old schema 1, as far as a pull needs them. */
const content = z.looseObject({
  config: descriptor.optional(),
  layers: z.array(descriptor).optional(),
  manifests: z.array(descriptor).optional(),
  fsLayers: z.array(z.looseObject({ blobSum: z.string() })).optional(),
});

/** An index of indexes is lawful; one without end is not. */
const MAX_DEPTH = 4;

/** Pulls images of one registry; what was read once in a repository is not read again. */
export class Puller {
  bytes = 0;
  private readonly done = new Set<string>();

  constructor(
    private readonly registry: Registry,
    private readonly onBytes: (bytes: number) => void,
  ) {}

  /** Throws NotFound or IntegrityMismatch for what cannot be pulled whole. */
  async pull(repository: string, digest: string, depth = 0): Promise<void> {
    if (depth > MAX_DEPTH) throw new DrydockError('IntegrityMismatch', `${repository}@${digest} is an index that goes too deep`);
    if (!this.first(repository, digest)) return;
    const { body } = await this.registry.manifest(repository, digest);
    this.count(body.length);
    const manifest = this.parse(repository, digest, body);
    for (const child of manifest.manifests ?? []) await this.pull(repository, child.digest, depth + 1);
    const layers = (manifest.layers ?? []).filter(({ urls }) => (urls ?? []).length === 0).map((layer) => layer.digest);
    const blobs = [...(manifest.config === undefined ? [] : [manifest.config.digest]), ...layers, ...(manifest.fsLayers ?? []).map(({ blobSum }) => blobSum)];
    for (const blob of blobs) if (this.first(repository, blob)) this.count(await this.registry.checkBlob(repository, blob));
  }

  private parse(repository: string, digest: string, body: Buffer): z.infer<typeof content> {
    try {
      return content.parse(JSON.parse(body.toString('utf8')));
    } catch (cause) {
      throw new DrydockError('IntegrityMismatch', `the manifest ${digest} of ${repository} cannot be read`, { cause });
    }
  }

  private first(repository: string, digest: string): boolean {
    const key = `${repository}@${digest}`;
    if (this.done.has(key)) return false;
    this.done.add(key);
    return true;
  }

  private count(bytes: number): void {
    this.bytes += bytes;
    this.onBytes(this.bytes);
  }
}
