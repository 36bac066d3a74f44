import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { answered } from './directory-files';

const READ_BYTES = 1 << 20;

/** A stream over part of an open file; closes it when it ends, fails or is destroyed before it was read. */
export function readRange(file: FileHandle, range: { offset: number; length?: number }, toError: (error: unknown) => Promise<Error>): Readable {
  let at = range.offset;
  let left = range.length ?? Number.POSITIVE_INFINITY;
  return new Readable({
    highWaterMark: READ_BYTES,
    read() {
      const length = Math.min(READ_BYTES, left);
      if (length === 0) {
        this.push(null);
        return;
      }
      answered(file.read(Buffer.allocUnsafe(length), 0, length, at)).then(
        ({ bytesRead, buffer }) => {
          at += bytesRead;
          left -= bytesRead;
          this.push(bytesRead === 0 ? null : buffer.subarray(0, bytesRead));
        },
        (error: unknown) => {
          void toError(error).then((readable) => this.destroy(readable));
        },
      );
    },
    destroy(error, done) {
      answered(file.close()).then(
        () => done(error),
        () => done(error),
      );
    },
  });
}
