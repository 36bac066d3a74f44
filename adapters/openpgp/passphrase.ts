/**
 * Passphrases as recipients: their names in manifests, and their session key packets (SKESK version 4: AES-256, iterated and salted S2K with
 * SHA-256). Written by hand and not by OpenPGP.js, because several passphrases in one message need care for gpg (see `wrapForPassphrases`).
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { PASSPHRASE_RECIPIENT } from '../../domain/vault-format';

const SKESK_VERSION = 4;
const AES_256 = 9;
const S2K_ITERATED_SALTED = 3;
const SHA_256 = 8;
/** Stands for 2^24 bytes that are hashed (RFC 4880, 3.7.1.3). */
const COUNT_OCTET = 0xe0;
const SALT_BYTES = 8;
const SESSION_KEY_BYTES = 32;
const BODY_BYTES = 4 + SALT_BYTES + 1 + 1 + SESSION_KEY_BYTES;
/** Cipher numbers that gpg knows. It takes a session key for right when it begins with one of them. */
const GPG_CIPHERS = new Set([1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 13]);

const NAME_SALT = 'drydock: name of a passphrase';
/** Dearer to try out than the session key packet itself, so that the name helps nobody who guesses. */
const NAME_COST = { N: 1 << 15, r: 8, p: 1, maxmem: 64 << 20 };
const NAME_BYTES = 8;
const deriveName = promisify<string, string, number, typeof NAME_COST, Buffer>(scrypt);
const names = new Map<string, Promise<string>>();

/** `passphrase:` and 16 hexadecimal digits: the same for the same passphrase, so that a manifest can say which one opens a file. */
export function passphraseName(passphrase: string): Promise<string> {
  let name = names.get(passphrase);
  if (!name) {
    name = deriveName(passphrase, NAME_SALT, NAME_BYTES, NAME_COST).then((tag) => `${PASSPHRASE_RECIPIENT}:${tag.toString('hex')}`);
    names.set(passphrase, name);
  }
  return name;
}

/**
 * One packet for each passphrase. gpg 2.4 takes the first packet that decrypts to a known cipher number, which a wrong passphrase reaches
 * by chance once in 23 times; so packets are made anew until no passphrase fits another's packet. (gpg 2.2 tries the first packet only.)
 */
export function wrapForPassphrases(sessionKey: Buffer, passphrases: readonly string[]): Buffer[] {
  return passphrases.map((passphrase) => {
    for (;;) {
      const body = makeBody(sessionKey, passphrase);
      const isAmbiguous = passphrases.some((other) => other !== passphrase && GPG_CIPHERS.has(decryptKey(body, other)[0]!));
      if (!isAmbiguous) return Buffer.concat([Buffer.from([0xc0 | 3, body.length]), body]);
    }
  });
}

/** Whether a packet's body has the form that is written here. */
export function isWrappedForPassphrase(body: Buffer): boolean {
  const [version, cipher, s2k, hash] = body;
  return body.length === BODY_BYTES && version === SKESK_VERSION && cipher === AES_256 && s2k === S2K_ITERATED_SALTED && hash === SHA_256;
}

/** The session key in a packet's body; null when the passphrase does not fit or the packet is not of our form. A wrong passphrase may yield a wrong key. */
export function unwrapByPassphrase(body: Buffer, passphrase: string): Buffer | null {
  if (!isWrappedForPassphrase(body)) return null;
  const key = decryptKey(body, passphrase);
  return key[0] === AES_256 ? key.subarray(1) : null;
}

function makeBody(sessionKey: Buffer, passphrase: string): Buffer {
  const salt = randomBytes(SALT_BYTES);
  const cipher = createCipheriv('aes-256-cfb', stretch(passphrase, salt, COUNT_OCTET), Buffer.alloc(16));
  const sealed = cipher.update(Buffer.concat([Buffer.from([AES_256]), sessionKey]));
  return Buffer.concat([Buffer.from([SKESK_VERSION, AES_256, S2K_ITERATED_SALTED, SHA_256]), salt, Buffer.from([COUNT_OCTET]), sealed]);
}

/** Cipher number and session key, or noise. */
function decryptKey(body: Buffer, passphrase: string): Buffer {
  const salt = body.subarray(4, 4 + SALT_BYTES);
  const key = stretch(passphrase, salt, body[4 + SALT_BYTES]!);
  return createDecipheriv('aes-256-cfb', key, Buffer.alloc(16)).update(body.subarray(5 + SALT_BYTES));
}

/** Iterated and salted string-to-key: salt and passphrase, over and over, until so many bytes are hashed. */
function stretch(passphrase: string, salt: Buffer, countOctet: number): Buffer {
  const total = (16 + (countOctet & 15)) << ((countOctet >> 4) + 6);
  const unit = Buffer.concat([salt, Buffer.from(passphrase, 'utf8')]);
  const block = Buffer.concat(Array.from({ length: Math.ceil((64 * 1024) / unit.length) }, () => unit));
  const hash = createHash('sha256');
  let left = Math.max(total, unit.length);
  for (; left >= block.length; left -= block.length) hash.update(block);
  return hash.update(block.subarray(0, left)).digest();
}
