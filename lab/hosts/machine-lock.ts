/** One lab at a time on this machine for what all labs share: images and seed volumes. */
import { createServer, type Server } from 'node:net';
import { sleep } from './process';

const POLL_MS = 300;

/**
 * Runs `work` while no other process of this machine runs work under the same name; waits for its turn. The lock is a socket in Linux's abstract
 * namespace: the kernel frees it with its holder, however that ended. Elsewhere than on Linux there is no lock.
 */
export async function oneAtATime<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  if (process.platform !== 'linux') return work();
  const lock = await acquire(`\0drydock-lab-${name}`, signal);
  try {
    return await work();
  } finally {
    lock.close();
  }
}

async function acquire(path: string, signal: AbortSignal | undefined): Promise<Server> {
  for (;;) {
    const lock = await tryListen(path);
    if (lock !== undefined) return lock;
    await sleep(POLL_MS, signal);
  }
}

function tryListen(path: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(path, () => resolve(server));
  });
}
