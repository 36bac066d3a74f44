/** The manifests of one cluster, for looks over all of a vault. */
import { DrydockError } from '../../domain/errors';
import { manifestSchema, type Manifest } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { MANIFEST_MAX_BYTES } from './picture';
import type { Vault } from './vault';

/** A manifest, or one sentence why it cannot be used; null when it has just gone. */
export async function tryManifest(vault: Vault, cluster: string, id: string): Promise<Manifest | string | null> {
  try {
    const parsed = manifestSchema.safeParse(JSON.parse((await vault.readAll(vaultPaths.manifest(cluster, id), MANIFEST_MAX_BYTES)).toString('utf8')));
    if (!parsed.success) return 'the manifest has a form that this version does not know';
    if (parsed.data.backupId !== id || parsed.data.cluster !== cluster) return `the manifest is that of ${parsed.data.backupId} of cluster ${parsed.data.cluster}`;
    return parsed.data;
  } catch (error) {
    if (error instanceof SyntaxError) return 'the manifest is not JSON';
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    return error.kind === 'NotFound' ? null : error.message;
  }
}
