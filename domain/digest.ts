/**
 * Digests as our lists have them: bare hex for SHA-256, which nearly all are, and `<algorithm>:<encoded>` for any other algorithm. A registry shows them all with
 * their algorithm in front.
 */
import { isSha256 } from './sha256';

const SHA_256 = 'sha256:';
/** As the OCI image specification has it. */
const FORM = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[A-Za-z0-9=_-]+$/;
/** The longest that is in use has 135. */
const MOST_LETTERS = 300;
/** Hexadecimal digits of the digests that can be computed here, besides SHA-256. */
const HEX_DIGITS: Readonly<Record<string, number>> = { sha384: 96, sha512: 128 };

/** A digest as a registry shows it, in our form; null for what is none. */
export function readDigest(shown: unknown): string | null {
  if (typeof shown !== 'string') return null;
  if (shown.startsWith(SHA_256)) return isSha256(shown.slice(SHA_256.length)) ? shown.slice(SHA_256.length) : null;
  return shown.length <= MOST_LETTERS && FORM.test(shown) ? shown : null;
}

/** A digest of ours as a registry shows it. */
export function showDigest(digest: string): string {
  return digest.includes(':') ? digest : SHA_256 + digest;
}

/** Whether a text is a digest in our form. */
export function isDigest(text: string): boolean {
  return isSha256(text) || (!text.startsWith(SHA_256) && text.length <= MOST_LETTERS && FORM.test(text));
}

/** Whether a digest of ours is of another algorithm than SHA-256. */
export function isOtherDigest(digest: string): boolean {
  return digest.includes(':');
}

/** Algorithm and encoded part of a digest of ours. */
export function partsOfDigest(digest: string): { algorithm: string; encoded: string } {
  const colon = digest.indexOf(':');
  return colon < 0 ? { algorithm: 'sha256', encoded: digest } : { algorithm: digest.slice(0, colon), encoded: digest.slice(colon + 1) };
}

/** The algorithm by which content can be held to a digest of ours; null where we cannot compute it. */
export function hashOfDigest(digest: string): 'sha256' | 'sha384' | 'sha512' | null {
  const { algorithm, encoded } = partsOfDigest(digest);
  if (algorithm === 'sha256') return 'sha256';
  return HEX_DIGITS[algorithm] === encoded.length && /^[0-9a-f]+$/.test(encoded) ? (algorithm as 'sha384' | 'sha512') : null;
}
