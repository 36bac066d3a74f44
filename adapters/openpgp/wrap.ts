/** The packets in front of an encrypted body: one for each recipient, all for the same session key. */
import * as openpgp from 'openpgp';
import { DrydockError } from '../../domain/errors';
import { OPENPGP_CONFIG, readPublicKeys } from './keyring';
import type { EncryptionKeys } from './keys';
import { wrapForPassphrases } from './passphrase';

/** Session key packets for all recipients, ready to stand in front of an encrypted body. Throws InvalidInput when there is no recipient. */
export async function wrapSessionKey(sessionKey: Buffer, keys: EncryptionKeys): Promise<Buffer> {
  if (keys.passphrases.length === 0 && keys.publicKeys.length === 0) {
    throw new DrydockError('InvalidInput', 'nobody could open what would be written: no passphrase and no recipient is configured', {
      remedy: 'set encryption.passphrase or encryption.recipients of the cluster in drydock.yaml',
    });
  }
  const encryptionKeys = await readPublicKeys(keys);
  const forKeys = encryptionKeys.length === 0 ? Buffer.alloc(0)
    : Buffer.from(await openpgp.encryptSessionKey({ data: sessionKey, algorithm: 'aes256', encryptionKeys, format: 'binary', config: OPENPGP_CONFIG }));
  // Keys first: gpg tries them all before it asks for a passphrase.
  return Buffer.concat([forKeys, ...wrapForPassphrases(sessionKey, keys.passphrases)]);
}
