/** Reading OpenPGP keys: from the cluster's configuration to keys that can be used. */
import * as openpgp from 'openpgp';
import type { EncryptionConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { resolveSecret, type SecretReader } from '../secrets/secrets';
import { assertOpens, assertUsable, expiryNotice } from './key-faults';
import { readKeyFile, readPrivateKeys } from './key-file';
import type { DecryptionKeys, EncryptionKeys } from './keys';
import { passphraseName } from './passphrase';

/** What every message and key is made with: the form that gpg 2.2 reads. */
export const OPENPGP_CONFIG: openpgp.PartialConfig = { aeadProtect: false, s2kType: openpgp.enums.s2k.iterated, showVersion: false, showComment: false };

/**
 * The recipients that the configuration names. Throws InvalidInput naming each key (fingerprint, user id, file) that is weak, expired,
 * revoked, for signing only, or of a form that gpg 2.2 cannot use, with its fault.
 */
export async function loadEncryptionKeys(encryption: EncryptionConfig): Promise<EncryptionKeys> {
  const passphrases = await resolveAll(writtenPassphrases(encryption), 'passphrase');
  const publicKeys = await loadPublicKeys(encryption.recipients ?? []);
  const recipients = new Set([...(await Promise.all(passphrases.map(passphraseName))), ...publicKeys.keys()]);
  if (recipients.size === 0) {
    throw new DrydockError('InvalidInput', 'encryption has neither a passphrase nor recipients', { remedy: 'give a passphrase, recipients, or both: encryption is not optional' });
  }
  return { passphrases, publicKeys: [...publicKeys.values()].map((key) => key.armor()), recipients: [...recipients].sort() };
}

/** By fingerprint, each once however often it is named. Throws InvalidInput with all faults. */
async function loadPublicKeys(files: readonly string[]): Promise<Map<string, openpgp.PublicKey>> {
  const found = new Map<string, openpgp.PublicKey>();
  const faults: DrydockError[] = [];
  const attempt = async (work: () => Promise<void>): Promise<void> => work().catch((error: unknown) => {
    if (!(error instanceof DrydockError)) throw error;
    if (!faults.some(({ message }) => message === error.message)) faults.push(error);
  });
  for (const file of files) {
    await attempt(async () => {
      for (const key of await readKeyFile(file)) {
        await attempt(async () => {
          await assertUsable(key, 'encrypt', file);
          const fingerprint = key.getFingerprint().toUpperCase();
          const before = found.get(fingerprint);
          // Two exports of one key may differ by what was added to it between them.
          found.set(fingerprint, before ? await before.update(key.toPublic()) : key.toPublic());
        });
      }
    });
  }
  if (faults.length === 1) throw faults[0]!;
  if (faults.length > 1) throw new DrydockError('InvalidInput', faults.map(({ message }) => message).join('; '), { remedy: [...new Set(faults.map(({ remedy }) => remedy))].join('; ') });
  return found;
}

/** What can open backups here; may be empty on a worker that only writes (see `canDecrypt`). Throws InvalidInput for a key that cannot be read, AuthRejected for one that stays locked. */
export async function loadDecryptionKeys(encryption: EncryptionConfig): Promise<DecryptionKeys> {
  const written = await resolveAll(writtenPassphrases(encryption), 'passphrase');
  const passphrases = [...new Set([...written, ...(await resolveAll(encryption.formerPassphrases ?? [], 'formerPassphrase'))])];
  const unlock = encryption.privateKeyPassphrase === undefined ? undefined : await resolveSecret(encryption.privateKeyPassphrase, 'keyPassphrase');
  const privateKeys: { armored: string; passphrase?: string }[] = [];
  for (const reference of encryption.privateKeys ?? []) {
    const armored = await resolveSecret(reference, 'key');
    for (const key of await unlockPrivateKeysOf(armored, unlock, reference, 'privateKeyPassphrase')) await assertOpens(key, reference);
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
  return [...new Set([...(await Promise.all(keys.passphrases.map(passphraseName))), ...fingerprints])].sort();
}

/** Of these keys, what one recipient alone needs. Empty when it is not among them. */
export async function onlyFor(keys: EncryptionKeys, recipient: string): Promise<EncryptionKeys> {
  const passphrases: string[] = [];
  for (const passphrase of keys.passphrases) if ((await passphraseName(passphrase)) === recipient) passphrases.push(passphrase);
  const publicKeys = (await readPublicKeys(keys)).filter((key) => key.getFingerprint().toUpperCase() === recipient).map((key) => key.armor());
  return { passphrases, publicKeys, recipients: [recipient] };
}

/** One sentence for each recipient whose key will expire within 30 days. `now`: ms since epoch. */
export async function expiringRecipients(keys: EncryptionKeys, now = Date.now()): Promise<string[]> {
  const notices = await Promise.all((await readPublicKeys(keys)).map((key) => expiryNotice(key, 'encrypt', now)));
  return notices.filter((notice) => notice !== null);
}

/** Parsed public keys; read once for each set of keys. */
export function readPublicKeys(keys: EncryptionKeys): Promise<openpgp.PublicKey[]> {
  return once(parsedPublicKeys, keys, async () => (await Promise.all(keys.publicKeys.map((armoredKeys) => openpgp.readKeys({ armoredKeys })))).flat());
}

/** Unlocked private keys; unlocked once for each set of keys, because it is slow on purpose. */
export function unlockPrivateKeys(keys: DecryptionKeys): Promise<openpgp.PrivateKey[]> {
  return once(unlockedPrivateKeys, keys, async () => (await Promise.all(keys.privateKeys.map((key) => unlockPrivateKeysOf(key.armored, key.passphrase, 'the private key', 'privateKeyPassphrase')))).flat());
}

/** All private keys of an armoured text. `setting`: the field of `encryption` that should hold their passphrase. Throws InvalidInput or AuthRejected. */
async function unlockPrivateKeysOf(armored: string, passphrase: string | undefined, name: string, setting: string): Promise<openpgp.PrivateKey[]> {
  return Promise.all((await readPrivateKeys(armored, name)).map((key) => unlockPrivateKey(key, passphrase, name, setting)));
}

/** `setting`: the field of `encryption` that should hold its passphrase. Throws AuthRejected. */
export async function unlockPrivateKey(privateKey: openpgp.PrivateKey, passphrase: string | undefined, name: string, setting: string): Promise<openpgp.PrivateKey> {
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
}

function writtenPassphrases({ passphrase, passphrases }: EncryptionConfig): string[] {
  return [...(passphrase === undefined ? [] : [passphrase]), ...(passphrases ?? [])];
}

/** The secrets, each once. */
async function resolveAll(references: string[], reader: SecretReader): Promise<string[]> {
  return [...new Set(await Promise.all(references.map((reference) => resolveSecret(reference, reader))))];
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
