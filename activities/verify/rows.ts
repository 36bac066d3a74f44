/** L4: the metadata's own rows against what is stored: tags, manifests, blobs by id. */
import { readMetadataArchive } from '../../adapters/archive/metadata';
import { readArtifact } from '../../adapters/vault/artifacts';
import { isDamage } from './files';
import type { Manifest } from '../../domain/manifest';
import { Follower, proveTags } from '../../domain/proof';
import { References } from '../../domain/references';
import { readRow } from '../../domain/rows';
import type { Damage } from '../../domain/verify';
import type { Cluster } from '../cluster';
import type { Catalogue } from './catalogue';

/** Reads the whole metadata archive. Throws AuthRejected. */
export async function checkRows(cluster: Cluster, manifest: Manifest, catalogue: Catalogue, notes: string[]): Promise<Damage[]> {
  const references = new References(catalogue.numbers);
  const file = manifest.artifacts.metadata.name;
  try {
    const source = await readArtifact(cluster.vault, manifest.artifacts.metadata, await cluster.decryptionKeys(), { gunzip: true, ...(cluster.signal === undefined ? {} : { signal: cluster.signal }) });
    const { documents } = await readMetadataArchive(source, (table, row) => {
      const found = readRow(table, row);
      if (found) references.add(found);
    }, { expectedVersion: manifest.product.version });
    if (documents !== manifest.product.metadata.documents) return [{ file, what: `the metadata archive holds ${documents} rows, the manifest says ${manifest.product.metadata.documents}` }];
  } catch (error) {
    if (!isDamage(error)) throw error;
    return [{ file, what: error.message }];
  }
  if (!manifest.product.metadata.online && references.tags.length === 0) {
    notes.push('The metadata archive was made offline: its rows cannot be read, so they were not compared.');
    return [];
  }
  return compare(references, catalogue);
}

/** Tags that were not whole by the backup's own words are not held to it. */
function compare(references: References, catalogue: Catalogue): Damage[] {
  const listed = new Map(catalogue.tags.map((tag) => [`${tag.repository}:${tag.name}`, tag]));
  const damages: Damage[] = [];
  for (const { repository, name, digest, missing } of proveTags(references, new Follower(references, catalogue.copies), null)) {
    const image = `${repository}:${name}`;
    const line = listed.get(image);
    if (!line) damages.push({ image, digest, what: 'the metadata has this tag, the backup\'s list of tags has not' });
    else if (line.state === 'whole' && line.digest.slice(-64) !== digest) damages.push({ image, digest, what: 'the metadata and the backup\'s list of tags name different images' });
    else if (line.state === 'whole') damages.push(...missing.map((each) => ({ image, digest: each.digest, what: `the ${each.what} that the metadata names is not in the backup` })));
  }
  return damages;
}
