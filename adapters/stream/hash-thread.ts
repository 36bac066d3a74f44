/** SHA-256 away from the main thread. Started by `hashing.ts`. */
import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { FromHashThread, ToHashThread } from './hashing';

let hash = createHash('sha256');

parentPort?.on('message', (message: ToHashThread) => {
  if (message === 'end') {
    send({ sha256: hash.digest('hex') });
    hash = createHash('sha256');
    return;
  }
  hash.update(message);
  send({ taken: message.length });
});

function send(message: FromHashThread): void {
  parentPort?.postMessage(message);
}
