/** Whether a manifest is signed by someone whose signature counts. */
import { verifyDetached } from '../adapters/openpgp/sign';
import { DrydockError } from '../domain/errors';
import { vaultPaths } from '../domain/vault-format';
import type { Cluster } from './cluster';

const SIGNATURE_MAX_BYTES = 64 * 1024;

/**
 * One sentence on the signature. Throws Refused when a signature is asked for and there is none, IntegrityMismatch when there is one that
 * does not hold.
 */
export async function checkSignature(cluster: Cluster, backupId: string, content: Buffer): Promise<string> {
  const { vault, name } = cluster;
  const file = vaultPaths.signature(name, backupId);
  const isSigned = (await vault.stat(file)) !== null;
  const trusted = await cluster.trustedSigners();
  if (trusted.length === 0) return isSigned ? 'The manifest is signed; nobody is named in encryption.signedBy, so the signature was not checked.' : 'The manifest is not signed, and no signature is asked for.';
  if (!isSigned) {
    throw new DrydockError('Refused', `the manifest of backup ${backupId} is not signed, and encryption.signedBy or encryption.signingKey asks for a signature`, {
      remedy: 'use a signed backup; for one that was made before signing was configured say acceptUnsigned',
    });
  }
  const signature = (await vault.readAll(file, SIGNATURE_MAX_BYTES)).toString('utf8');
  const { fingerprint, signedAt, revokedSince } = await verifyDetached(content, signature, trusted).catch((error: unknown) => {
    if (!(error instanceof DrydockError)) throw error;
    throw new DrydockError(error.kind, `the manifest of backup ${backupId}: ${error.message}`, { ...(error.remedy === undefined ? {} : { remedy: error.remedy }), cause: error });
  });
  return `The manifest is signed by ${fingerprint}, ${signedAt}${revokedSince ? '; that key was replaced and revoked since, which leaves this signature good' : ''}.`;
}
