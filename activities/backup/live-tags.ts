import type { Dtr } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import { changedSince, type LiveTag } from '../../domain/proof';

/** Tags as the registry shows them now; each repository is asked once, and only when one of its tags is in doubt. */
export class LiveTags {
  private readonly repositories = new Map<string, Promise<Map<string, LiveTag>>>();

  constructor(private readonly dtr: Dtr) {}

  /** Null when the tag, or its repository, is not there any more. */
  async find(repository: string, name: string): Promise<LiveTag | null> {
    const asked = this.repositories.get(repository) ?? this.ask(repository);
    this.repositories.set(repository, asked);
    return (await asked).get(name) ?? null;
  }

  /** Some tag that was there before this time, as `repository:tag`; null where there is none. One whose time nobody knows counts as old. */
  async anyBefore(time: string): Promise<string | null> {
    for (const { namespace, name } of await this.dtr.repositories()) {
      for (const [tag, { changedAt }] of await this.ask(`${namespace}/${name}`)) if (!changedSince(changedAt, time)) return `${namespace}/${name}:${tag}`;
    }
    return null;
  }

  private async ask(repository: string): Promise<Map<string, LiveTag>> {
    const [namespace = '', name = ''] = repository.split('/', 2);
    try {
      const tags = await this.dtr.tags(namespace, name);
      return new Map(tags.map((tag) => [tag.name, live(tag)]));
    } catch (error) {
      if (error instanceof DrydockError && error.kind === 'NotFound') return new Map();
      throw error;
    }
  }
}

function live({ digest, updatedAt, createdAt }: { digest: string; updatedAt?: string; createdAt?: string }): LiveTag {
  const changedAt = updatedAt ?? createdAt;
  return { digest, ...(changedAt === undefined ? {} : { changedAt }) };
}
