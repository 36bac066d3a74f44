/** Opening a message: from its first bytes and our keys to its session key. */
import { createDecipheriv } from 'node:crypto';
import * as openpgp from 'openpgp';
import { DrydockError } from '../../domain/errors';
import { PREFIX_BYTES } from './body-decryptor';
import { BodyReader, readMessageStart, type KeyPacket } from './framing';
import type { DecryptionKeys } from './keys';
import { canDecrypt, OPENPGP_CONFIG, unlockPrivateKeys } from './keyring';
import { unwrapByPassphrase } from './passphrase';

/** A message whose session key is known: enough to decrypt all of it or any part. */
export interface OpenedMessage {
  readonly sessionKey: Buffer;
  /** Offset of the encrypted packet's body in the file. */
  readonly bodyStart: number;
}

/** Length octets, version octet and prefix: what must follow the header before a key can be tried. */
const PROBE_BYTES = 5 + 1 + PREFIX_BYTES;
/** An encrypted packet without content, so that OpenPGP.js accepts the header packets as a message. */
const EMPTY_SEIPD = Buffer.from([0xd2, 0x01, 0x01]);

/**
 * Finds the session key. Null when `start` is too short to tell; give more of the file then. `further` are session key packets that lie
 * beside the file, for recipients that were added later.
 * Throws AuthRejected when none of the keys opens the message, IntegrityMismatch when it is no message of ours.
 */
export async function openMessage(start: Buffer, keys: DecryptionKeys, further: Buffer = Buffer.alloc(0)): Promise<OpenedMessage | null> {
  const message = readMessageStart(start);
  if (message === null || start.length < message.bodyStart + PROBE_BYTES) return null;
  const { bodyStart } = message;
  const probe = readProbe(start.subarray(bodyStart));
  if (probe[0] !== 1) {
    throw new DrydockError('IntegrityMismatch', `the encrypted data has version ${probe[0]}, expected 1`, {
      remedy: 'the file is damaged or was not written by Drydock',
    });
  }
  for await (const candidate of candidates([...message.keyPackets, ...readKeyPackets(further)], keys)) {
    if (prefixRepeats(candidate, probe.subarray(1))) return { sessionKey: candidate, bodyStart };
  }
  throw new DrydockError('AuthRejected', 'none of the keys at hand opens this backup: no passphrase and no private key is one that it was written for', {
    remedy: 'name a passphrase or a private key of one of its recipients under `encryption` in drydock.yaml; `drydock show BACKUP --json` lists them',
    details: { wanted: 'key' },
  });
}

/** Whether it was for want of a key that a message could not be opened: none fits, or it stays locked. What a vault says of our login is another matter. */
export function isForWantOfKey(error: unknown): error is DrydockError {
  return error instanceof DrydockError && error.kind === 'AuthRejected' && error.details?.wanted === 'key';
}

/** Session key packets alone, as `.keys` files hold them. Throws IntegrityMismatch. */
export function readKeyPackets(packets: Buffer): KeyPacket[] {
  if (packets.length === 0) return [];
  const message = readMessageStart(Buffer.concat([packets, EMPTY_SEIPD]));
  if (message?.bodyStart === packets.length + 1) return message.keyPackets;
  throw new DrydockError('IntegrityMismatch', 'a file of session keys in the vault is damaged', { remedy: 'put it back from a second copy of the vault, or write it anew with `drydock key rotate --rewrap`' });
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

async function* candidates(packets: KeyPacket[], keys: DecryptionKeys): AsyncGenerator<Buffer> {
  if (!canDecrypt(keys)) {
    throw new DrydockError('AuthRejected', 'no passphrase and no private key is configured here, so nothing can be opened', {
      remedy: 'set encryption.passphrase or encryption.privateKeys of the cluster in drydock.yaml',
      details: { wanted: 'key' },
    });
  }
  yield* await openByPrivateKeys(packets.filter(({ kind }) => kind === 'publicKey'), await unlockPrivateKeys(keys));
  for (const passphrase of keys.passphrases) {
    for (const { kind, body } of packets) {
      const found = kind === 'passphrase' ? unwrapByPassphrase(body, passphrase) : null;
      if (found) yield found;
    }
  }
}

async function openByPrivateKeys(packets: KeyPacket[], decryptionKeys: openpgp.PrivateKey[]): Promise<Buffer[]> {
  if (packets.length === 0 || decryptionKeys.length === 0) return [];
  const message = await openpgp.readMessage({ binaryMessage: Buffer.concat([...packets.map(({ whole }) => whole), EMPTY_SEIPD]), config: OPENPGP_CONFIG });
  try {
    const found = await openpgp.decryptSessionKeys({ message, decryptionKeys, config: OPENPGP_CONFIG });
    return found.filter(({ data }) => data.length === 32).map(({ data }) => Buffer.from(data));
  } catch {
    // Not a recipient: the caller says so once all were tried.
    return [];
  }
}
