/** Signing manifests, and judging signatures: detached and armoured, in the form that `gpg --verify` reads. */
import * as openpgp from 'openpgp';
import type { EncryptionConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { resolveSecret } from '../secrets/secrets';
import { assertUsable } from './key-faults';
import { OPENPGP_CONFIG, readKeyFile, unlockPrivateKey } from './keyring';

export type { PrivateKey, PublicKey } from 'openpgp';

/** A signature that counts. */
export interface GoodSignature {
  /** Of the signer's primary key, upper case. */
  fingerprint: string;
  /** ISO 8601. */
  signedAt: string;
}

/** The key that signs; null when none is configured. Throws InvalidInput for a key that cannot be read or used, AuthRejected for one that stays locked. */
export async function loadSigningKey(encryption: EncryptionConfig): Promise<openpgp.PrivateKey | null> {
  const { signingKey, signingKeyPassphrase } = encryption;
  if (signingKey === undefined) return null;
  const unlock = signingKeyPassphrase === undefined ? undefined : await resolveSecret(signingKeyPassphrase);
  const [key] = await unlockPrivateKey(await resolveSecret(signingKey), unlock, signingKey, 'signingKeyPassphrase');
  if (!key) throw new DrydockError('InvalidInput', `${signingKey} holds no private key`, { remedy: 'export one with: gpg --armor --export-secret-keys FINGERPRINT' });
  await assertUsable(key, 'sign', signingKey);
  return key;
}

/** Whose signatures count: `signedBy`, and the key that signs here. Empty when neither is configured. Throws InvalidInput naming a key that is weak or revoked. */
export async function loadTrustedSigners(encryption: EncryptionConfig): Promise<openpgp.PublicKey[]> {
  const trusted: openpgp.PublicKey[] = [];
  for (const file of encryption.signedBy ?? []) {
    for (const key of await readKeyFile(file)) {
      await assertUsable(key, 'verify', file);
      trusted.push(key.toPublic());
    }
  }
  const own = await loadSigningKey(encryption);
  return own ? [...trusted, own.toPublic()] : trusted;
}

/** An armoured signature of exactly these bytes. */
export async function signDetached(content: Buffer, key: openpgp.PrivateKey): Promise<string> {
  const message = await openpgp.createMessage({ binary: new Uint8Array(content) });
  // With these options it is text, which the library's types do not tell.
  const signature: unknown = await openpgp.sign({ message, signingKeys: key, detached: true, format: 'armored', config: OPENPGP_CONFIG });
  return String(signature);
}

/** Who signed these bytes. Throws IntegrityMismatch when the signature is damaged, of other bytes, or of a key that is not trusted. */
export async function verifyDetached(content: Buffer, armoredSignature: string, trusted: openpgp.PublicKey[]): Promise<GoodSignature> {
  const message = await openpgp.createMessage({ binary: new Uint8Array(content) });
  let signature: openpgp.Signature;
  try {
    signature = await openpgp.readSignature({ armoredSignature });
  } catch (cause) {
    throw refused('it cannot be read', cause);
  }
  const { signatures } = await openpgp.verify({ message, signature, verificationKeys: trusted, format: 'binary', config: OPENPGP_CONFIG });
  const issuers: string[] = [];
  let invalid: unknown;
  for (const { keyID, verified, signature: packets } of signatures) {
    const signer = trusted.find((key) => key.getKeys(keyID).length > 0);
    issuers.push(keyID.toHex().toUpperCase());
    if (!signer) continue;
    try {
      await verified;
      const made = (await packets).packets[0]?.created;
      return { fingerprint: signer.getFingerprint().toUpperCase(), signedAt: (made ?? new Date(0)).toISOString() };
    } catch (cause) {
      invalid = cause;
    }
  }
  if (invalid !== undefined) throw refused('it is not a signature of these bytes', invalid);
  throw refused(`it is by ${issuers.join(', ') || 'nobody'}, whose signatures do not count here`);
}

function refused(why: string, cause?: unknown): DrydockError {
  return new DrydockError('IntegrityMismatch', `the signature does not hold: ${why}`, {
    remedy: 'find out who wrote to the vault; name the right key under encryption.signedBy, or use a backup with a good signature',
    ...(cause === undefined ? {} : { cause }),
  });
}
