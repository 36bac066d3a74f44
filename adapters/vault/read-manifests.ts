/** The manifests of one cluster, for looks over all of a vault. */
import { DrydockError } from '../../domain/errors';
import type { Manifest } from '../../domain/manifest';
import { readManifest } from './manifest-file';
import type { Vault } from './vault';

/** A manifest, or one sentence why it cannot be used; null when it has just gone. */
export async function tryManifest(vault: Vault, cluster: string, id: string): Promise<Manifest | string | null> {
  try {
    return (await readManifest(vault, cluster, id)).manifest;
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    return error.kind === 'NotFound' ? null : error.message;
  }
}
