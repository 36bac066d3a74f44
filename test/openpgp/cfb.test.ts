import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { CfbStream } from '../../adapters/openpgp/cfb';

const WINDOW = CfbStream.WINDOW_BYTES;

function through(direction: 'encrypt' | 'decrypt', key: Buffer, iv: Buffer, data: Buffer, pieceBytes: number): Buffer {
  const parts: Buffer[] = [];
  const stream = new CfbStream(direction, key, iv, (done) => parts.push(done));
  for (let at = 0; at < data.length; at += pieceBytes) stream.write(data.subarray(at, at + pieceBytes));
  stream.end();
  return Buffer.concat(parts);
}

describe('AES-256 in CFB mode', () => {
  const key = randomBytes(32);
  const iv = randomBytes(16);

  for (const length of [0, 1, 3, 4, 15, 16, 17, 31, 32, 33, 1000, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 15, 3 * WINDOW + 16]) {
    it(`says for ${length} bytes what OpenSSL's own form says, in both directions, in pieces of any size`, () => {
      const plain = randomBytes(length);
      const sealed = createCipheriv('aes-256-cfb', key, iv).update(plain);
      for (const pieceBytes of [7, 4096, WINDOW, length + 1]) {
        assert.ok(through('encrypt', key, iv, plain, pieceBytes).equals(sealed), `enciphered in pieces of ${pieceBytes}`);
        assert.ok(through('decrypt', key, iv, sealed, pieceBytes).equals(plain), `deciphered in pieces of ${pieceBytes}`);
      }
    });
  }

  it('uses the memory that it is given', () => {
    const memory = Buffer.alloc(WINDOW);
    const seen: Buffer[] = [];
    const stream = new CfbStream('encrypt', key, iv, (done) => seen.push(done), () => memory);
    stream.write(randomBytes(3 * WINDOW));
    assert.ok(seen.length === 3 && seen.every(({ buffer }) => buffer === memory.buffer));
  });
});
