/** The tags of a metadata archive, for a million of them: repositories and digests as numbers. */
import type { DigestNumbers } from './digest-numbers';
import { NameNumbers } from './name-numbers';
import type { TagRow } from './rows';

export class TagList implements Iterable<TagRow> {
  private readonly repositories = new NameNumbers();
  private readonly repositoryOf: number[] = [];
  private readonly digestOf: number[] = [];
  private readonly names: string[] = [];
  private readonly times: (string | undefined)[] = [];

  constructor(private readonly digests: DigestNumbers) {}

  get length(): number {
    return this.names.length;
  }

  push({ repository, name, digest, changedAt }: TagRow): void {
    this.repositoryOf.push(this.repositories.add(repository));
    this.digestOf.push(this.digests.add(digest));
    this.names.push(name);
    this.times.push(changedAt);
  }

  *[Symbol.iterator](): Generator<TagRow> {
    for (let at = 0; at < this.names.length; at += 1) {
      const changedAt = this.times[at];
      yield { table: 'tags', repository: this.repositories.text(this.repositoryOf[at]!), name: this.names[at]!, digest: this.digests.digest(this.digestOf[at]!), ...(changedAt === undefined ? {} : { changedAt }) };
    }
  }
}
