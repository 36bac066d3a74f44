import { randomBytes, type Hash } from 'node:crypto';

/** `mib` pieces of one MiB that do not repeat; `hash` takes in what is given out. */
export function* noise(mib: number, hash: Hash): Generator<Buffer> {
  const block = randomBytes(1024 * 1024);
  for (let n = 0; n < mib; n++) {
    block.writeUInt32BE(n);
    const copy = Buffer.from(block);
    hash.update(copy);
    yield copy;
  }
}
