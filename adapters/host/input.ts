import { Writable } from 'node:stream';

/**
 * A command's standard input as its user sees it: calls back for a write when `input` has, and ends `input` when it is ended, but does nothing
 * to it when it is given up: that must not look like a clean end to the command. `touch` is called whenever something moves.
 */
export function inputInto(input: Writable, touch: () => void): Writable {
  // That a command went away is told by how it ended.
  input.on('error', () => undefined);
  return new Writable({
    highWaterMark: 256 * 1024,
    write: (chunk: Buffer, _encoding, done) => {
      touch();
      input.write(chunk, (error) => {
        touch();
        if (!error) done();
      });
    },
    final: (done) => {
      input.end();
      done();
    },
  });
}
