/** A pull by digest, without keeping anything: manifest, configuration and layers, children of an index included. */
import type { Registry } from '../../adapters/registry/registry';
import { hashOfDigest, readDigest, showDigest } from '../../domain/digest';
import { DrydockError } from '../../domain/errors';
import { isManifestType, readImageManifest, type Descriptor, type ImageManifest } from '../../domain/image-manifest';

/** Pulls images of one registry; what was read once in a repository is not read again, so that no chain of indexes has an end too deep or none at all. */
export class Puller {
  bytes = 0;
  private readonly done = new Set<string>();
  /** Of this pull: when it fails, the next image that needs the same has to fail as well. */
  private added: string[] = [];

  constructor(
    private readonly registry: Registry,
    private readonly onBytes: (bytes: number) => void,
  ) {}

  /** Returns sentences on what a pull cannot judge. Throws NotFound or IntegrityMismatch for what cannot be pulled whole. */
  async pull(repository: string, digest: string): Promise<string[]> {
    this.added = [];
    try {
      return await this.pullAll(repository, digest);
    } catch (error) {
      for (const key of this.added) this.done.delete(key);
      throw error;
    }
  }

  private async pullAll(repository: string, digest: string): Promise<string[]> {
    const notJudged: string[] = [];
    if (!this.first(repository, digest)) return notJudged;
    const open = [await this.manifest(repository, digest)];
    if (open[0] === null) notJudged.push(`${digest} has its bytes, but cannot be read as a manifest: what it needs was not looked at`);
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === null) continue;
      const parts = [...(next.config ? [next.config] : []), ...next.layers].filter(({ isForeign }) => !isForeign);
      for (const part of parts) await this.part(repository, part, notJudged);
      // As they stand in the index.
      for (const child of next.manifests.toReversed()) {
        const shown = nameOf(child, notJudged);
        if (shown !== null && this.first(repository, shown)) open.push(await this.child(repository, shown, child.mediaType));
      }
    }
    return notJudged;
  }

  /** Null for content that is no manifest. */
  private async manifest(repository: string, digest: string): Promise<ImageManifest | null> {
    const { body } = await this.registry.manifest(repository, digest);
    this.count(body.length);
    return readImageManifest(body);
  }

  /** A child may be no manifest, whatever the index calls it: registries give it as a blob then. */
  private async child(repository: string, digest: string, mediaType: string): Promise<ImageManifest | null> {
    const ways = [() => this.manifest(repository, digest), () => this.blob(repository, digest).then(() => null)];
    const [first, second] = (isManifestType(mediaType) === false ? ways.reverse() : ways) as [(typeof ways)[0], (typeof ways)[0]];
    try {
      return await first();
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
      return second().catch((again: unknown) => {
        throw again instanceof DrydockError ? error : again;
      });
    }
  }

  private async part(repository: string, part: Descriptor, notJudged: string[]): Promise<void> {
    const shown = nameOf(part, notJudged);
    if (shown === null || !this.first(repository, shown)) return;
    if (hashOfDigest(readDigest(shown)!) === null) notJudged.push(`${shown} is of an algorithm that cannot be computed here: it was not pulled`);
    else await this.blob(repository, shown);
  }

  private async blob(repository: string, digest: string): Promise<void> {
    this.count(await this.registry.checkBlob(repository, digest));
  }

  private first(repository: string, digest: string): boolean {
    const key = `${repository}@${digest}`;
    if (this.done.has(key)) return false;
    this.done.add(key);
    this.added.push(key);
    return true;
  }

  private count(bytes: number): void {
    this.bytes += bytes;
    this.onBytes(this.bytes);
  }
}

/** As the registry shows it; null, and a sentence, for a reference without a digest. */
function nameOf({ digest, mediaType }: Descriptor, notJudged: string[]): string | null {
  if (digest === null) notJudged.push(`a reference${mediaType === '' ? '' : ` of the type ${mediaType}`} names no digest that can be read`);
  return digest === null ? null : showDigest(digest);
}
