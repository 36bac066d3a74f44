/** Reading OpenPGP keys: from the cluster's configuration to keys that can be used. */
import { readFile } from 'node:fs/promises';
import * as openpgp from 'openpgp';
import type { EncryptionConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { resolveSecret } from '../secrets/secrets';
import { assertUsable } from './key-faults';
import type { DecryptionKeys, EncryptionKeys } from './keys';
import { passphraseName } from './passphrase';

/** What every message and key is made with: the form that gpg 2.2 reads. */
export const OPENPGP_CONFIG: openpgp.PartialConfig = { aeadProtect: false, s2kType: openpgp.enums.s2k.iterated, showVersion: false, showComment: false };

/**
 * The recipients that the configuration names. Throws InvalidInput naming each key (fingerprint, user id, file) that is weak, expired,
 * revoked, for signing only, or of a form that gpg 2.2 cannot use, with its fault.
 */
export async function loadEncryptionKeys(encryption: EncryptionConfig): Promise<EncryptionKeys> {
  const passphrases = await resolveAll(writtenPassphrases(encryption));
  const publicKeys: string[] = [];
  const recipients = new Set(await Promise.all(passphrases.map(passphraseName)));
  const faults: DrydockError[] = [];
  for (const file of encryption.recipients ?? []) {
    try {
      for (const key of await readKeyFile(file)) {
        await assertUsable(key, 'encrypt', file);
        publicKeys.push(key.toPublic().armor());
        recipients.add(key.getFingerprint().toUpperCase());
      }
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
      faults.push(error);
    }
  }
  if (faults.length === 1) throw faults[0]!;
  if (faults.length > 1) throw new DrydockError('InvalidInput', faults.map(({ message }) => message).join('; '), { remedy: [...new Set(faults.map(({ remedy }) => remedy))].join('; ') });
  if (recipients.size === 0) {
    throw new DrydockError('InvalidInput', 'encryption has neither a passphrase nor recipients', { remedy: 'give a passphrase, recipients, or both: encryption is not optional' });
  }
  return { passphrases, publicKeys, recipients: [...recipients].sort() };
}

/** What can open backups here; may be empty on a worker that only writes (see `canDecrypt`). Throws InvalidInput for a key that cannot be read, AuthRejected for one that stays locked. */
export async function loadDecryptionKeys(encryption: EncryptionConfig): Promise<DecryptionKeys> {
  const passphrases = await resolveAll([...writtenPassphrases(encryption), ...(encryption.formerPassphrases ?? [])]);
  const unlock = encryption.privateKeyPassphrase === undefined ? undefined : await resolveSecret(encryption.privateKeyPassphrase);
  const privateKeys: { armored: string; passphrase?: string }[] = [];
  for (const reference of encryption.privateKeys ?? []) {
    const armored = await resolveSecret(reference);
    await unlockPrivateKey(armored, unlock, reference, 'privateKeyPassphrase');
    privateKeys.push({ armored, ...(unlock === undefined ? {} : { passphrase: unlock }) });
  }
  return { passphrases, privateKeys };
}

/** Whether there is anything here that could open a backup. */
export function canDecrypt(keys: DecryptionKeys): boolean {
  return keys.passphrases.length > 0 || keys.privateKeys.length > 0;
}

/** Names under which these keys stand among a message's recipients: passphrases' names and primary keys' fingerprints, sorted. */
export async function decryptionRecipients(keys: DecryptionKeys): Promise<string[]> {
  const fingerprints = (await unlockPrivateKeys(keys)).map((key) => key.getFingerprint().toUpperCase());
  return [...(await Promise.all(keys.passphrases.map(passphraseName))), ...fingerprints].sort();
}

/** Of these keys, what one recipient alone needs. Empty when it is not among them. */
export async function onlyFor(keys: EncryptionKeys, recipient: string): Promise<EncryptionKeys> {
  const passphrases: string[] = [];
  for (const passphrase of keys.passphrases) if ((await passphraseName(passphrase)) === recipient) passphrases.push(passphrase);
  const publicKeys = (await readPublicKeys(keys)).filter((key) => key.getFingerprint().toUpperCase() === recipient).map((key) => key.armor());
  return { passphrases, publicKeys, recipients: [recipient] };
}

/** Parsed public keys; read once for each set of keys. */
export function readPublicKeys(keys: EncryptionKeys): Promise<openpgp.PublicKey[]> {
  return once(parsedPublicKeys, keys, async () => (await Promise.all(keys.publicKeys.map((armoredKeys) => openpgp.readKeys({ armoredKeys })))).flat());
}

/** Unlocked private keys; unlocked once for each set of keys, because it is slow on purpose. */
export function unlockPrivateKeys(keys: DecryptionKeys): Promise<openpgp.PrivateKey[]> {
  return once(unlockedPrivateKeys, keys, async () => (await Promise.all(keys.privateKeys.map((key) => unlockPrivateKey(key.armored, key.passphrase, 'the private key', 'privateKeyPassphrase')))).flat());
}

/** All keys of one file, armoured or binary. Throws InvalidInput. */
export async function readKeyFile(file: string): Promise<openpgp.Key[]> {
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

/** `setting`: the field of `encryption` that should hold its passphrase. Throws InvalidInput or AuthRejected. */
export async function unlockPrivateKey(armored: string, passphrase: string | undefined, name: string, setting: string): Promise<openpgp.PrivateKey[]> {
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
        const why = passphrase === undefined ? `is locked and no ${setting} is configured` : `is not unlocked by ${setting}`;
        throw new DrydockError('AuthRejected', `the private key ${privateKey.getFingerprint().toUpperCase()} of ${name} ${why}`, {
          remedy: `set encryption.${setting} to the passphrase of this key`,
          details: { wanted: 'key' },
          cause,
        });
      }
    }),
  );
}

function writtenPassphrases({ passphrase, passphrases }: EncryptionConfig): string[] {
  return [...(passphrase === undefined ? [] : [passphrase]), ...(passphrases ?? [])];
}

/** The secrets, each once. */
async function resolveAll(references: string[]): Promise<string[]> {
  return [...new Set(await Promise.all(references.map(resolveSecret)))];
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
