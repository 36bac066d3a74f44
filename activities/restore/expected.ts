/** What the registry must show after a restore, from the backup's own metadata. */
import { z } from 'zod';
import { readMetadataArchive } from '../../adapters/archive/metadata';
import { readArtifact } from '../../adapters/vault/artifacts';
import type { Manifest, TagLine } from '../../domain/manifest';
import type { Cluster } from '../cluster';
import { readTags } from './backup';

export interface ExpectedRepository {
  visibility: string;
  /** Team id -> access level. */
  teams: Map<string, string>;
}

export interface ExpectedTag {
  name: string;
  digest: string;
  state: TagLine['state'];
}

const repositoryRow = z.looseObject({ namespace: z.string(), name: z.string(), visibility: z.string().default('private') });
const teamRow = z.looseObject({ repository: z.string(), teamID: z.string(), accessLevel: z.string() });
const namespaceRow = z.looseObject({ orgName: z.string(), teamID: z.string(), accessLevel: z.string() });

export interface ExpectedAccess {
  repositories: Map<string, ExpectedRepository>;
  /** By namespace: team id -> access level in all of its repositories. */
  namespaces: Map<string, Map<string, string>>;
}

/** Repositories of the metadata with visibility and teams' access; rows of a form that we do not know are passed over. */
export async function expectedAccess(cluster: Cluster, manifest: Manifest): Promise<ExpectedAccess> {
  const repositories = new Map<string, ExpectedRepository>();
  const namespaces: ExpectedAccess['namespaces'] = new Map();
  const access: { repository: string; teamID: string; accessLevel: string }[] = [];
  const onRow = (table: string, row: unknown): void => {
    if (table === 'repositories') {
      const parsed = repositoryRow.safeParse(row);
      if (parsed.success) repositories.set(`${parsed.data.namespace}/${parsed.data.name}`, { visibility: parsed.data.visibility, teams: new Map() });
    } else if (table === 'repository_team_access') {
      const parsed = teamRow.safeParse(row);
      if (parsed.success) access.push(parsed.data);
    } else if (table === 'namespace_team_access') {
      const parsed = namespaceRow.safeParse(row);
      if (parsed.success) namespaces.set(parsed.data.orgName, (namespaces.get(parsed.data.orgName) ?? new Map<string, string>()).set(parsed.data.teamID, parsed.data.accessLevel));
    }
  };
  const options = cluster.signal === undefined ? {} : { signal: cluster.signal };
  const archive = await readArtifact(cluster.vault, manifest.artifacts.metadata, await cluster.decryptionKeys(), { gunzip: true, ...options });
  await readMetadataArchive(archive, onRow, { expectedVersion: manifest.product.version });
  for (const { repository, teamID, accessLevel } of access) repositories.get(repository)?.teams.set(teamID, accessLevel);
  return { repositories, namespaces };
}

/** Tags of the backup by repository. */
export async function expectedTags(cluster: Cluster, manifest: Manifest): Promise<Map<string, ExpectedTag[]>> {
  const tags = new Map<string, ExpectedTag[]>();
  for await (const { repository, name, digest, state } of readTags(cluster, manifest)) {
    const list = tags.get(repository) ?? [];
    list.push({ name, digest, state });
    tags.set(repository, list);
  }
  return tags;
}
