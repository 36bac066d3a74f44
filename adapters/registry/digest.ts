import { createHash, type Hash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';

const DIGEST = /^(sha256|sha512):([0-9a-f]{64}|[0-9a-f]{128})$/;

export function isDigest(reference: string): boolean {
  return DIGEST.test(reference);
}

/** The hash to compute for a digest. Throws InvalidInput for an unknown form. */
export function hashFor(digest: string): Hash {
  const algorithm = DIGEST.exec(digest)?.[1];
  if (algorithm === undefined) throw new DrydockError('InvalidInput', `${digest} is not a digest (expected sha256: and 64 hexadecimal digits)`);
  return createHash(algorithm);
}

export function digestOf(content: Buffer, like = 'sha256:'): string {
  const algorithm = like.startsWith('sha512:') ? 'sha512' : 'sha256';
  return `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`;
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
