/** The socket of an SSH connection. */
import { connect, type Socket } from 'node:net';

/** Memory that is read into, one part after the other, and then left to whoever keeps a part of it. */
const SLAB_BYTES = 1 << 20;
/** With less room than this a new slab is begun: a packet that lies across two reads is copied by ssh2. */
const LEAST_BYTES = 256 * 1024;
/** A small heap sweeps its young part when so many words have been thrown away some 16 times, and only then the slabs that nobody keeps. */
const WEIGHT_WORDS = 8 * 1024;

interface Slab {
  memory: SharedArrayBuffer;
  filled: number;
  weight: unknown[];
}

function newSlab(): Slab {
  return { memory: new SharedArrayBuffer(SLAB_BYTES), filled: 0, weight: new Array(WEIGHT_WORDS) };
}

/**
 * As `net.connect`, for one reader that listens for `data`. Node gives each read 64 KiB of new memory, which V8 counts, and it marks its whole heap after every 20 MiB of
 * it; here reads are larger, and they lie in shared memory, which no heap counts.
 */
export function connectSocket(address: { host: string; port: number }): Socket {
  let slab = newSlab();
  /** What came before anybody listened. */
  let early: Buffer[] | null = [];
  const socket = connect({
    ...address,
    onread: {
      buffer: () => {
        if (SLAB_BYTES - slab.filled < LEAST_BYTES) slab = newSlab();
        return new Uint8Array(slab.memory, slab.filled);
      },
      callback: (bytes) => {
        const piece = Buffer.from(slab.memory, slab.filled, bytes);
        slab.filled += bytes;
        if (early === null) socket.emit('data', piece);
        else early.push(piece);
        return true;
      },
    },
  });
  socket.on('newListener', (event) => {
    if (event !== 'data' || early === null) return;
    process.nextTick(() => {
      for (const piece of early?.splice(0) ?? []) socket.emit('data', piece);
      early = null;
    });
  });
  return socket;
}
