/** The registry's own certificate, for the vendor's `restore`: where it is not given, a new one may be made, which no client trusts. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { readMetadataArchive } from '../../adapters/archive/metadata';
import { readArtifact } from '../../adapters/vault/artifacts';
import type { Manifest } from '../../domain/manifest';
import type { Cluster } from '../cluster';

const property = z.looseObject({ key: z.string(), value: z.string() });
const NAMES = { webTLSCert: 'DTR_CERT', webTLSKey: 'DTR_KEY', webTLSCA: 'DTR_CA' } as const;

/** Environment of `restore`: secret. Empty where the metadata do not hold a certificate with its key that is the one of the manifest. */
export async function certificateEnv(cluster: Cluster, manifest: Manifest): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const onRow = (table: string, row: unknown): void => {
    const parsed = table === 'properties' ? property.safeParse(row) : undefined;
    if (parsed?.success === true && parsed.data.key in NAMES) found[parsed.data.key] = parsed.data.value;
  };
  const options = cluster.signal === undefined ? {} : { signal: cluster.signal };
  const archive = await readArtifact(cluster.vault, manifest.artifacts.metadata, await cluster.decryptionKeys(), { gunzip: true, ...options });
  await readMetadataArchive(archive, onRow, { expectedVersion: manifest.product.version });
  return certificateFrom(found, manifest.product.settings.certificateFingerprint);
}

/** Pure: a certificate without its key, or another one than the registry showed, is left out rather than given wrongly. */
export function certificateFrom({ webTLSCert, webTLSKey, webTLSCA }: Record<string, string>, fingerprint: string): Record<string, string> {
  if (!webTLSCert || !webTLSKey) return {};
  const plain = (text: string): string => text.replaceAll(':', '').toUpperCase();
  try {
    const certificate = new X509Certificate(webTLSCert);
    if (plain(certificate.fingerprint256) !== plain(fingerprint) || !certificate.checkPrivateKey(createPrivateKey(webTLSKey))) return {};
  } catch {
    // A form that we do not know: the vendor's own way has to do.
    return {};
  }
  return { [NAMES.webTLSCert]: webTLSCert, [NAMES.webTLSKey]: webTLSKey, ...(webTLSCA ? { [NAMES.webTLSCA]: webTLSCA } : {}) };
}
