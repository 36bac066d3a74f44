/** Reading and judging OpenPGP keys: from the cluster's configuration to keys that can be used. */
import { readFile } from 'node:fs/promises';
import * as openpgp from 'openpgp';
import type { ClusterConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { resolveSecret } from '../secrets/secrets';
import type { DecryptionKeys, EncryptionKeys } from './keys';

/** What every message and key is made with: the form that gpg 2.2 reads. */
export const OPENPGP_CONFIG: openpgp.PartialConfig = { aeadProtect: false, s2kType: openpgp.enums.s2k.iterated, showVersion: false, showComment: false };

type EncryptionConfig = ClusterConfig['encryption'];

/** Algorithms that gpg 2.2 does not know: a backup for such a key alone could not be opened without newer tools. */
const UNKNOWN_TO_GPG_22 = ['x25519', 'x448', 'ed25519', 'ed448'];
const MIN_RSA_BITS = 2048;

/**
 * The recipients that the configuration names. Throws InvalidInput naming the file and the fault of a key that is weak, expired,
 * revoked, for signing only, or of a form that gpg 2.2 cannot use.
 */
export async function loadEncryptionKeys(encryption: EncryptionConfig): Promise<EncryptionKeys> {
  const passphrase = encryption.passphrase === undefined ? undefined : await resolveSecret(encryption.passphrase);
  const publicKeys: string[] = [];
  const recipients = new Set<string>(passphrase === undefined ? [] : ['passphrase']);
  for (const file of encryption.recipients) {
    for (const key of await readKeyFile(file)) {
      await assertCanEncrypt(key, file);
      publicKeys.push(key.toPublic().armor());
      recipients.add(key.getFingerprint().toUpperCase());
    }
  }
  if (recipients.size === 0) {
    throw new DrydockError('InvalidInput', 'encryption has neither a passphrase nor recipients', { remedy: 'give a passphrase, recipients, or both: encryption is not optional' });
  }
  return { ...(passphrase === undefined ? {} : { passphrase }), publicKeys, recipients: [...recipients].sort() };
}

/** What can open backups here; may be empty on a worker that only writes (see `canDecrypt`). Throws InvalidInput for a key that cannot be read or unlocked. */
export async function loadDecryptionKeys(encryption: EncryptionConfig): Promise<DecryptionKeys> {
  const passphrase = encryption.passphrase === undefined ? undefined : await resolveSecret(encryption.passphrase);
  const unlock = encryption.privateKeyPassphrase === undefined ? undefined : await resolveSecret(encryption.privateKeyPassphrase);
  const privateKeys: DecryptionKeys['privateKeys'] = [];
  for (const reference of encryption.privateKeys) {
    const armored = await resolveSecret(reference);
    await unlockPrivateKey(armored, unlock, reference);
    privateKeys.push({ armored, ...(unlock === undefined ? {} : { passphrase: unlock }) });
  }
  return { ...(passphrase === undefined ? {} : { passphrase }), privateKeys };
}

/** Whether there is anything here that could open a backup. */
export function canDecrypt(keys: DecryptionKeys): boolean {
  return keys.passphrase !== undefined || keys.privateKeys.length > 0;
}

/** Names under which these keys stand among a message's recipients: `passphrase` or a primary key's fingerprint. */
export async function decryptionRecipients(keys: DecryptionKeys): Promise<string[]> {
  const fingerprints = (await unlockPrivateKeys(keys)).map((key) => key.getFingerprint().toUpperCase());
  return [...(keys.passphrase === undefined ? [] : ['passphrase']), ...fingerprints].sort();
}

/** Parsed public keys; read once for each set of keys. */
export function readPublicKeys(keys: EncryptionKeys): Promise<openpgp.PublicKey[]> {
  return once(parsedPublicKeys, keys, async () => (await Promise.all(keys.publicKeys.map((armoredKeys) => openpgp.readKeys({ armoredKeys })))).flat());
}

/** Unlocked private keys; unlocked once for each set of keys, because it is slow on purpose. */
export function unlockPrivateKeys(keys: DecryptionKeys): Promise<openpgp.PrivateKey[]> {
  return once(unlockedPrivateKeys, keys, async () => (await Promise.all(keys.privateKeys.map((key) => unlockPrivateKey(key.armored, key.passphrase, 'the private key')))).flat());
}

const parsedPublicKeys = new WeakMap<EncryptionKeys, Promise<openpgp.PublicKey[]>>();
const unlockedPrivateKeys = new WeakMap<DecryptionKeys, Promise<openpgp.PrivateKey[]>>();

function once<K extends object, V>(cache: WeakMap<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  let value = cache.get(key);
  if (!value) {
    value = make();
    cache.set(key, value);
  }
  return value;
}

async function readKeyFile(file: string): Promise<openpgp.Key[]> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (cause) {
    throw new DrydockError('InvalidInput', `the public key file ${file} cannot be read`, { remedy: 'check that it exists and that the worker may read it', cause });
  }
  try {
    const armored = content.includes('-----BEGIN PGP');
    return await (armored ? openpgp.readKeys({ armoredKeys: content.toString('utf8') }) : openpgp.readKeys({ binaryKeys: content }));
  } catch (cause) {
    throw new DrydockError('InvalidInput', `${file} holds no OpenPGP public key`, { remedy: 'export one with: gpg --armor --export FINGERPRINT', cause });
  }
}

async function assertCanEncrypt(key: openpgp.Key, file: string): Promise<void> {
  const refuse = (fault: string, remedy: string): never => {
    throw new DrydockError('InvalidInput', `the key ${key.getFingerprint().toUpperCase()} in ${file} ${fault}`, { remedy });
  };
  if (key.keyPacket.version !== 4) refuse(`is an OpenPGP version ${key.keyPacket.version} key, which gpg 2.2 cannot use`, 'use a version 4 key');
  if (await key.isRevoked()) refuse('is revoked', 'give another recipient');
  const expires = await key.getExpirationTime().catch(() => null);
  if (expires instanceof Date && expires.getTime() <= Date.now()) refuse(`expired on ${expires.toISOString().slice(0, 10)}`, 'extend its life and export it again, or give another recipient');
  try {
    const chosen = await key.getEncryptionKey();
    const info = chosen.getAlgorithmInfo();
    if (UNKNOWN_TO_GPG_22.includes(info.algorithm)) refuse(`encrypts with ${info.algorithm}, which gpg 2.2 cannot use`, 'use an RSA key or an ECDH key on Curve25519 as gpg makes them');
    if (info.bits !== undefined && info.bits < MIN_RSA_BITS) refuse(`is weak: RSA with ${info.bits} bits`, `use a key of at least ${MIN_RSA_BITS} bits`);
  } catch (cause) {
    if (cause instanceof DrydockError) throw cause;
    const weak = weakest(key);
    if (weak) refuse(`is weak: ${weak}`, `use an RSA key of at least ${MIN_RSA_BITS} bits or a modern elliptic curve`);
    if (await hasExpiredSubkey(key)) refuse('has no encryption key that is still valid: it expired', 'extend its life and export it again, or give another recipient');
    refuse('cannot encrypt: it is for signing only', 'add an encryption subkey, or give another recipient');
  }
}

/** The first weakness among the key's parts, in words. */
function weakest(key: openpgp.Key): string | null {
  for (const part of [key, ...key.subkeys]) {
    const info = part.getAlgorithmInfo();
    if (info.algorithm.startsWith('rsa') && info.bits !== undefined && info.bits < MIN_RSA_BITS) return `RSA with ${info.bits} bits`;
    if (info.algorithm === 'elgamal' || info.algorithm === 'dsa') return info.algorithm;
  }
  return null;
}

async function hasExpiredSubkey(key: openpgp.Key): Promise<boolean> {
  for (const subkey of key.subkeys) {
    const expires = await subkey.getExpirationTime().catch(() => null);
    if (expires instanceof Date && expires.getTime() <= Date.now()) return true;
  }
  return false;
}

async function unlockPrivateKey(armored: string, passphrase: string | undefined, name: string): Promise<openpgp.PrivateKey[]> {
  let keys: openpgp.PrivateKey[];
  try {
    keys = await openpgp.readPrivateKeys({ armoredKeys: armored });
  } catch (cause) {
    throw new DrydockError('InvalidInput', `${name} holds no armoured OpenPGP private key`, { remedy: 'export one with: gpg --armor --export-secret-keys FINGERPRINT', cause });
  }
  return Promise.all(
    keys.map(async (privateKey) => {
      if (privateKey.isDecrypted()) return privateKey;
      try {
        if (passphrase === undefined) throw new Error('no passphrase');
        return await openpgp.decryptKey({ privateKey, passphrase });
      } catch (cause) {
        const why = passphrase === undefined ? 'is locked and no privateKeyPassphrase is configured' : 'is not unlocked by privateKeyPassphrase';
        throw new DrydockError('AuthRejected', `the private key ${privateKey.getFingerprint().toUpperCase()} of ${name} ${why}`, {
          remedy: 'set encryption.privateKeyPassphrase to the passphrase of this key',
          cause,
        });
      }
    }),
  );
}
