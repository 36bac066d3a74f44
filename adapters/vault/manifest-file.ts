/** A backup's manifest as it stands in a vault. */
import { DrydockError } from '../../domain/errors';
import { MANIFEST_MAX_BYTES, manifestSchema, type Manifest } from '../../domain/manifest';
import { artifactsOf } from '../../domain/manifest-artifacts';
import { mistakesInWords } from '../../domain/mistakes';
import { vaultPaths } from '../../domain/vault-format';
import { parseBounded } from './bounded-json';
import type { Vault } from './vault';

/** Its JSON, of whatever form. Throws NotFound, IntegrityMismatch. */
export async function readManifestJson(vault: Vault, cluster: string, id: string): Promise<{ json: unknown; content: Buffer }> {
  const content = await vault.readAll(vaultPaths.manifest(cluster, id), MANIFEST_MAX_BYTES);
  return { json: parseBounded(content, `the manifest of backup ${id}`), content };
}

/** The manifest of this very backup, which names artifacts of its own only. Throws NotFound, or IntegrityMismatch when it is damaged, foreign, or of another backup. */
export async function readManifest(vault: Vault, cluster: string, id: string): Promise<{ manifest: Manifest; content: Buffer }> {
  const { json, content } = await readManifestJson(vault, cluster, id);
  const refuse = (why: string): DrydockError => new DrydockError('IntegrityMismatch', `the manifest of backup ${id} ${why}`, { remedy: 'use the version of Drydock that made it, or another backup of `drydock list`' });
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) throw refuse(`has a form that this version does not know: ${mistakesInWords(parsed.error, manifestSchema)}`);
  const manifest = parsed.data;
  if (manifest.backupId !== id || manifest.cluster !== cluster) throw refuse(`is that of ${manifest.backupId} of cluster ${manifest.cluster}`);
  const folder = `${vaultPaths.backup(cluster, id)}/`;
  for (const { name } of artifactsOf(manifest)) {
    const file = name.slice(folder.length);
    if (name !== folder + file || file === '' || file.includes('/')) throw refuse(`names ${JSON.stringify(name)}, which is not its own`);
  }
  return { manifest, content };
}
