import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { answered } from './directory-files';

const READ_BYTES = 1 << 20;
/** Most files are small: memory that nobody fills still costs a collection of all garbage. */
const FIRST_BYTES = 64 << 10;
/** What is left of a piece of memory and smaller than this is not worth a read. */
const LEAST_BYTES = 16 << 10;

/** A stream over part of an open file; closes it when it ends, fails or is destroyed before it was read. */
export function readRange(file: FileHandle, range: { offset: number; length?: number }, toError: (error: unknown) => Promise<Error>): Readable {
  let at = range.offset;
  let left = range.length ?? Number.POSITIVE_INFINITY;
  let memory = Buffer.alloc(0);
  let next = FIRST_BYTES;
  return new Readable({
    highWaterMark: READ_BYTES,
    read() {
      if (left === 0) {
        this.push(null);
        return;
      }
      if (memory.length < LEAST_BYTES) {
        memory = Buffer.allocUnsafe(Math.min(next, left));
        next = Math.min(next * 4, READ_BYTES);
      }
      answered(file.read(memory, 0, Math.min(memory.length, left), at)).then(
        ({ bytesRead }) => {
          const read = memory.subarray(0, bytesRead);
          memory = memory.subarray(bytesRead);
          at += bytesRead;
          left -= bytesRead;
          this.push(bytesRead === 0 ? null : read);
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
