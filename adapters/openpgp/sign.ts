/** Signing manifests, and judging signatures: detached and armoured, in the form that `gpg --verify` reads. */
import * as openpgp from 'openpgp';
import type { EncryptionConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { resolveSecret } from '../secrets/secrets';
import { assertUsable } from './key-faults';
import { readKeyFile, readPrivateKeys } from './key-file';
import { OPENPGP_CONFIG, unlockPrivateKey } from './keyring';

export type { PrivateKey, PublicKey } from 'openpgp';

/** A signature that counts. */
export interface GoodSignature {
  /** Of the signer's primary key, upper case. */
  fingerprint: string;
  /** ISO 8601. */
  signedAt: string;
  /** The key was replaced or given up since, and revoked without a doubt on what it had signed before. */
  revokedSince?: true;
}

/** The key that signs; null when none is configured. Throws InvalidInput for a key that cannot be read or used, AuthRejected for one that stays locked. */
export async function loadSigningKey(encryption: EncryptionConfig): Promise<openpgp.PrivateKey | null> {
  const { signingKey, signingKeyPassphrase } = encryption;
  if (signingKey === undefined) return null;
  const unlock = signingKeyPassphrase === undefined ? undefined : await resolveSecret(signingKeyPassphrase, 'keyPassphrase');
  const key = await chooseSigner(await readPrivateKeys(await resolveSecret(signingKey, 'key'), signingKey), signingKey);
  return unlockPrivateKey(key, unlock, signingKey, 'signingKeyPassphrase');
}

/** The only key, or of several the only one that can sign. Throws InvalidInput. */
async function chooseSigner(keys: openpgp.PrivateKey[], name: string): Promise<openpgp.PrivateKey> {
  const able: openpgp.PrivateKey[] = [];
  for (const key of new Map(keys.map((each) => [each.getFingerprint(), each])).values()) {
    try {
      await assertUsable(key, 'sign', name);
      able.push(key);
    } catch (error) {
      if (keys.length === 1 || !(error instanceof DrydockError)) throw error;
    }
  }
  if (able.length === 1) return able[0]!;
  const fingerprints = (able.length === 0 ? keys : able).map((key) => key.getFingerprint().toUpperCase()).join(', ');
  throw new DrydockError('InvalidInput', able.length === 0 ? `${name} holds several private keys, none of which can sign: ${fingerprints}` : `${name} holds several private keys that can sign, and one has to be chosen: ${fingerprints}`, {
    remedy: 'give a file with the one key that is to sign: gpg --armor --export-secret-keys FINGERPRINT',
  });
}

/** Whose signatures count: `signedBy`, and the key that signs here. Empty when neither is configured. A revoked key is among them: it depends on the reason what of it still counts. Throws InvalidInput naming a key that is weak. */
export async function loadTrustedSigners(encryption: EncryptionConfig): Promise<openpgp.PublicKey[]> {
  const trusted: openpgp.PublicKey[] = [];
  for (const file of encryption.signedBy ?? []) {
    for (const key of await readKeyFile(file)) {
      await assertUsable(key, 'verify', file);
      trusted.push(key.toPublic());
    }
  }
  return [...trusted, ...(await ownSigners(encryption))];
}

/** What this site's own key signed counts as well when that key can sign no more: a restore must not wait for a new one. Nothing is unlocked for it. */
async function ownSigners({ signingKey }: EncryptionConfig): Promise<openpgp.PublicKey[]> {
  if (signingKey === undefined) return [];
  const keys = await readPrivateKeys(await resolveSecret(signingKey, 'key'), signingKey);
  const faults: unknown[] = [];
  const able: openpgp.PublicKey[] = [];
  for (const key of keys) await assertUsable(key, 'verify', signingKey).then(() => able.push(key.toPublic()), (fault: unknown) => faults.push(fault));
  if (able.length === 0) throw faults[0];
  return able;
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
  let revoked: string | undefined;
  for (const { keyID, verified, signature: packets } of signatures) {
    const signer = trusted.find((key) => key.getKeys(keyID).length > 0);
    issuers.push(keyID.toHex().toUpperCase());
    if (!signer) continue;
    try {
      await verified;
      const made = (await packets).packets[0]?.created;
      return { fingerprint: signer.getFingerprint().toUpperCase(), signedAt: (made ?? new Date(0)).toISOString(), ...((await signer.isRevoked()) ? { revokedSince: true } : {}) };
    } catch (cause) {
      if (await signer.isRevoked()) revoked = signer.getFingerprint().toUpperCase();
      else invalid = cause;
    }
  }
  if (revoked !== undefined) throw refused(`it is by ${revoked}, which is revoked: as compromised or without a reason, or before this was signed; or it is not a signature of these bytes`);
  if (invalid !== undefined) throw refused('it is not a signature of these bytes', invalid);
  throw refused(`it is by ${issuers.join(', ') || 'nobody'}, whose signatures do not count here`);
}

function refused(why: string, cause?: unknown): DrydockError {
  return new DrydockError('IntegrityMismatch', `the signature does not hold: ${why}`, {
    remedy: 'find out who wrote to the vault; name the right key under encryption.signedBy, or use a backup with a good signature',
    ...(cause === undefined ? {} : { cause }),
  });
}
