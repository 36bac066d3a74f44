/** Deterministic bytes and numbers: the same seed text gives the same images on every machine. */
import { createCipheriv, createHash } from 'node:crypto';

/** `size` bytes that do not compress, fixed by `seed`. */
export function bytesFrom(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

/** A number in [0, 1), fixed by `seed`. */
export function uniformFrom(seed: string): number {
  return createHash('sha256').update(seed).digest().readUInt32BE(0) / 2 ** 32;
}

/** A log-normal number with median 1, fixed by `seed`: layer sizes in real registries look like this. */
export function logNormalFrom(seed: string, sigma = 1.2): number {
  // Box-Muller; 1 - u keeps the logarithm away from zero.
  const radius = Math.sqrt(-2 * Math.log(1 - uniformFrom(`${seed}/radius`)));
  return Math.exp(sigma * radius * Math.cos(2 * Math.PI * uniformFrom(`${seed}/angle`)));
}
