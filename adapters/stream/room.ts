import type { EventEmitter } from 'node:events';

/** Waits until a stream takes more, or is closed. */
export function roomIn(stream: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.removeListener('drain', done).removeListener('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}
