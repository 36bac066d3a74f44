/** L1: the link tree of the older layout, where tags and layers are links. */
import { readTar } from '../../adapters/archive/tar-entries';
import { isTreeMember, oddMember } from '../../adapters/images/tree';
import { readArtifact } from '../../adapters/vault/artifacts';
import type { Manifest } from '../../domain/manifest';
import { LinkTree } from '../../domain/link-tree';
import type { Damage } from '../../domain/verify';
import type { Cluster } from '../cluster';
import type { Catalogue } from './catalogue';

/** A link holds 71 bytes; more than this is no link. */
const MAX_LINK_BYTES = 1024;

/** Reads the whole tree. What it tolerates goes to `notes`. Throws IntegrityMismatch when the archive is damaged, or holds anything but files and folders. */
export async function checkLinks(cluster: Cluster, manifest: Manifest, catalogue: Catalogue, notes: string[]): Promise<Damage[]> {
  const record = manifest.artifacts.tree;
  if (record === undefined) return [];
  const tree = new LinkTree();
  const source = await readArtifact(cluster.vault, record, await cluster.decryptionKeys(), { gunzip: true, ...(cluster.signal === undefined ? {} : { signal: cluster.signal }) });
  for await (const entry of readTar(source)) {
    // A restore refuses it.
    if (!isTreeMember(entry)) throw oddMember(entry);
    const name = entry.name.replace(/^\.\//, '');
    if (entry.type !== 'file') continue;
    if (!name.endsWith('/link') || entry.size > MAX_LINK_BYTES) tree.addOther(name);
    else tree.add(name, await textOf(entry.data));
  }
  notes.push(...tree.notes());
  // From 2.6 on tags stand in the metadata, and links of an older life may lie about.
  return linksDecide(manifest.product.version) ? tree.check(catalogue.tags, catalogue.follower) : [];
}

/** Whether the registry of this version goes by links. */
export function linksDecide(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major === 2 && minor < 6;
}

async function textOf(data: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of data) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}
