import { createHash, type Hash } from 'node:crypto';
import { hashOfDigest, readDigest, showDigest } from '../../domain/digest';
import { DrydockError } from '../../domain/errors';

/** Whether a reference is a digest that can be computed here. */
export function isDigest(reference: string): boolean {
  const digest = readDigest(reference);
  return digest !== null && hashOfDigest(digest) !== null;
}

/** The hash to compute for a digest. Throws InvalidInput for an unknown form. */
export function hashFor(shown: string): Hash {
  const digest = readDigest(shown);
  const algorithm = digest === null ? null : hashOfDigest(digest);
  if (algorithm === null) throw new DrydockError('InvalidInput', `${shown} is not a digest that can be computed here (expected sha256: and 64 hexadecimal digits, or one of sha384 or sha512)`);
  return createHash(algorithm);
}

/** By the algorithm of `like`, or else by SHA-256. */
export function digestOf(content: Buffer, like = ''): string {
  const algorithm = isDigest(like) ? hashOfDigest(readDigest(like)!)! : 'sha256';
  const hex = createHash(algorithm).update(content).digest('hex');
  return showDigest(algorithm === 'sha256' ? hex : `${algorithm}:${hex}`);
}

/**
 * What a signed schema 1 manifest's digest is computed over: the JSON as it was before the signatures were put in, as the first
 * signature's protected header describes it. Null when the text is no such manifest.
 */
export function schema1Payload(body: Buffer): Buffer | null {
  try {
    const manifest = JSON.parse(body.toString('utf8')) as { schemaVersion?: unknown; signatures?: { protected?: unknown }[] };
    const header = manifest.signatures?.[0]?.protected;
    if (manifest.schemaVersion !== 1 || typeof header !== 'string') return null;
    const { formatLength, formatTail } = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as { formatLength?: unknown; formatTail?: unknown };
    if (typeof formatLength !== 'number' || typeof formatTail !== 'string') return null;
    return Buffer.concat([body.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
  } catch {
    return null;
  }
}
