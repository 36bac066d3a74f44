/** Opening a message: from its first bytes and our keys to its session key. */
import { createDecipheriv } from 'node:crypto';
import * as openpgp from 'openpgp';
import { DrydockError } from '../../domain/errors';
import { BodyReader, findEncryptedBody } from './framing';
import type { DecryptionKeys } from './keys';
import { OPENPGP_CONFIG, unlockPrivateKeys } from './keyring';

/** A message whose session key is known: enough to decrypt all of it or any part. */
export interface OpenedMessage {
  readonly sessionKey: Buffer;
  /** Offset of the encrypted packet's body in the file. */
  readonly bodyStart: number;
}

/** Random prefix and its repeated last two octets, at the start of the plaintext. */
export const PREFIX_BYTES = 18;
/** Length octets, version octet and prefix: what must follow the header before a key can be tried. */
const PROBE_BYTES = 5 + 1 + PREFIX_BYTES;
/** An encrypted packet without content, so that OpenPGP.js accepts the header packets as a message. */
const EMPTY_SEIPD = Buffer.from([0xd2, 0x01, 0x01]);

/**
 * Finds the session key. Null when `start` is too short to tell; give more of the file then.
 * Throws AuthRejected when none of the keys opens the message, IntegrityMismatch when it is no message of ours.
 */
export async function openMessage(start: Buffer, keys: DecryptionKeys): Promise<OpenedMessage | null> {
  const bodyStart = findEncryptedBody(start);
  if (bodyStart === null || start.length < bodyStart + PROBE_BYTES) return null;
  const probe = readProbe(start.subarray(bodyStart));
  if (probe[0] !== 1) {
    throw new DrydockError('IntegrityMismatch', `the encrypted data has version ${probe[0]}, expected 1`, {
      remedy: 'the file is damaged or was not written by Drydock',
    });
  }
  for (const candidate of await candidates(start.subarray(0, bodyStart - 1), keys)) {
    if (prefixRepeats(candidate, probe.subarray(1))) return { sessionKey: candidate, bodyStart };
  }
  throw new DrydockError('AuthRejected', 'none of the keys at hand opens this backup: the passphrase or the private key is not the one it was written for', {
    remedy: 'name the passphrase or a private key of one of its recipients under `encryption` in drydock.yaml; `drydock show BACKUP` lists them',
  });
}

function readProbe(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  new BodyReader().read(body, (piece) => parts.push(piece));
  const probe = Buffer.concat(parts).subarray(0, 1 + PREFIX_BYTES);
  if (probe.length < 1 + PREFIX_BYTES) throw new DrydockError('IntegrityMismatch', 'the encrypted data ends before it begins', { remedy: 'use another backup' });
  return probe;
}

/** A wrong passphrase often yields some 32 bytes all the same; the repeated octets tell. */
function prefixRepeats(sessionKey: Buffer, encryptedPrefix: Buffer): boolean {
  const prefix = createDecipheriv('aes-256-cfb', sessionKey, Buffer.alloc(16)).update(encryptedPrefix);
  return prefix[14] === prefix[16] && prefix[15] === prefix[17];
}

async function candidates(headerPackets: Buffer, keys: DecryptionKeys): Promise<Buffer[]> {
  const privateKeys = await unlockPrivateKeys(keys);
  if (keys.passphrase === undefined && privateKeys.length === 0) {
    throw new DrydockError('AuthRejected', 'no passphrase and no private key is configured here, so nothing can be opened', {
      remedy: 'set encryption.passphrase or encryption.privateKeys of the cluster in drydock.yaml',
    });
  }
  const found: Buffer[] = [];
  const attempt = async (secret: { passwords: string[] } | { decryptionKeys: openpgp.PrivateKey[] }): Promise<void> => {
    // Parsed anew for each attempt, because OpenPGP.js keeps the outcome in the packets.
    const message = await openpgp.readMessage({ binaryMessage: Buffer.concat([headerPackets, EMPTY_SEIPD]), config: OPENPGP_CONFIG });
    try {
      for (const key of await openpgp.decryptSessionKeys({ message, ...secret, config: OPENPGP_CONFIG })) {
        if (key.data.length === 32) found.push(Buffer.from(key.data));
      }
    } catch {
      // Not a recipient, or the wrong secret: the caller says so once all were tried.
    }
  };
  if (keys.passphrase !== undefined) await attempt({ passwords: [keys.passphrase] });
  if (privateKeys.length > 0) await attempt({ decryptionKeys: privateKeys });
  return found;
}
