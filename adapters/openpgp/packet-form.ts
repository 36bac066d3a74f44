/** What can be said about session key packets without a private key: that they have the form of packets for this recipient. */
import type { PublicKey } from 'openpgp';
import { DrydockError } from '../../domain/errors';
import { isWrappedForPassphrase } from './passphrase';
import { readKeyPackets } from './session-key';

const PKESK_VERSION = 3;
const KEY_ID_END = 9;
/** Public key algorithms by number (RFC 4880, 9.1; RFC 6637). */
const RSA = [1, 2];
const ECDH = 18;
/** A session key for AES-256 with its checksum, padded and wrapped (RFC 6637, 8). */
const MIN_WRAPPED_BYTES = 40;

/**
 * Why these octets cannot be the session key packets of a recipient; null where nothing speaks against it. `publicKey`: the recipient's, where it is known.
 * A flipped bit within the encrypted session key itself is seen by nobody but the recipient.
 */
export function faultOfPackets(content: Buffer, recipient: string, publicKey?: PublicKey): string | null {
  try {
    const packets = readKeyPackets(content);
    if (packets.length === 0) return 'it is empty';
    const isForPassphrase = recipient.startsWith('passphrase:');
    for (const { kind, body } of packets) {
      if ((kind === 'passphrase') !== isForPassphrase) return `it holds a packet for a ${kind === 'passphrase' ? 'passphrase' : 'public key'}`;
      const fault = isForPassphrase ? (isWrappedForPassphrase(body) ? null : 'its packet is garbled') : faultOfPublicKeyPacket(body, publicKey);
      if (fault !== null) return fault;
    }
    return null;
  } catch (error) {
    if (!(error instanceof DrydockError)) throw error;
    return 'it holds no session key packets';
  }
}

function faultOfPublicKeyPacket(body: Buffer, publicKey: PublicKey | undefined): string | null {
  const keyId = body.subarray(1, KEY_ID_END).toString('hex');
  if (body[0] !== PKESK_VERSION || body.length <= KEY_ID_END) return 'its packet is garbled';
  if (publicKey && !publicKey.getKeyIDs().some((id) => id.toHex() === keyId)) return `its packet is for the key ${keyId.toUpperCase()}, which is not one of the recipient's`;
  const algorithm = body[KEY_ID_END]!;
  const first = endOfNumber(body, KEY_ID_END + 1);
  if (first !== null && RSA.includes(algorithm) && first === body.length) return null;
  if (first !== null && algorithm === ECDH && body[first] === body.length - first - 1 && body[first] >= MIN_WRAPPED_BYTES && body[first] % 8 === 0) return null;
  return 'its packet is garbled';
}

/** Where a multiprecision integer ends (RFC 4880, 3.2); null when its length is not that of its number. */
function endOfNumber(body: Buffer, at: number): number | null {
  if (at + 3 > body.length) return null;
  const bits = body.readUInt16BE(at);
  const end = at + 2 + Math.ceil(bits / 8);
  const topBits = 32 - Math.clz32(body[at + 2]!);
  return bits > 0 && end <= body.length && topBits === ((bits - 1) % 8) + 1 ? end : null;
}
