import { randomUUID } from 'node:crypto';
import { now, type ManifestRow, type RepositoryRow, type TagRow } from '../../common/rows';
import { rowKey, type Store } from '../../common/store';

const TAG = /^\w[\w.-]{0,127}$/;

export const isTag = (reference: string): boolean => TAG.test(reference);

/** Tags, manifests and events in the metadata: the part that both layouts share. */
export class Catalog {
  constructor(private readonly store: Store) {}

  tag(repository: string, name: string): Promise<TagRow | null> {
    return this.store.get<TagRow>('tags', `${repository}:${name}`);
  }

  manifest(repository: string, digest: string): Promise<ManifestRow | null> {
    return this.store.get<ManifestRow>('manifests', `${repository}@${digest}`);
  }

  async tags(repository: string): Promise<TagRow[]> {
    return this.store.all<TagRow>('tags', `${repository}:`);
  }

  /** Records a pushed manifest, and the tag that now points to it. */
  async pushed(row: ManifestRow, tag: string | null, author: string): Promise<void> {
    const existing = await this.manifest(row.repository, row.digest);
    const manifest = existing ? { ...row, originalAuthor: existing.originalAuthor, createdAt: existing.createdAt } : row;
    const ops = [this.store.putOp('manifests', manifest), this.store.putOp('events', this.event('PUSH', row, tag, author))];
    if (tag !== null) ops.push(this.store.putOp('tags', await this.tagRow(row, tag, author)));
    await this.store.etcd.transact([], ops);
    await this.count(row.repository, 'pushes');
  }

  async pulled(repository: string): Promise<void> {
    await this.count(repository, 'pulls');
  }

  async deleteTag(repository: string, name: string): Promise<boolean> {
    if (!(await this.tag(repository, name))) return false;
    await this.store.delete('tags', `${repository}:${name}`);
    return true;
  }

  /** Takes a manifest away, and with it the tags that pointed to it. */
  async deleteManifest(repository: string, digest: string): Promise<boolean> {
    if (!(await this.manifest(repository, digest))) return false;
    const tags = (await this.tags(repository)).filter((tag) => tag.digest === digest);
    await this.store.etcd.transact([], [
      { delete: { key: rowKey('manifests', `${repository}@${digest}`) } },
      ...tags.map((tag) => ({ delete: { key: rowKey('tags', tag.pk) } })),
    ]);
    return true;
  }

  private async tagRow(row: ManifestRow, name: string, author: string): Promise<TagRow> {
    const before = await this.tag(row.repository, name);
    const at = now();
    return { pk: `${row.repository}:${name}`, repository: row.repository, name, digest: row.digest, digestPK: row.pk, authorNamespace: author, createdAt: before?.createdAt ?? at, updatedAt: at, deleted: false };
  }

  private event(type: string, row: ManifestRow, tag: string | null, actor: string): object {
    const at = now();
    // Keys in the order of time.
    return { id: `${at}-${randomUUID()}`, publishedAt: at, actor, type, object: { type: 'TAG', repository: row.repository, digest: row.digest, ...(tag === null ? {} : { tag }) } };
  }

  private async count(repository: string, field: 'pushes' | 'pulls'): Promise<void> {
    await this.store.update<RepositoryRow>('repositories', repository, (row) => (row ? { ...row, [field]: row[field] + 1 } : null));
  }
}
