/** Hashes, packs and encrypts away from the main thread. Started by `packing.ts`. */
import { parentPort } from 'node:worker_threads';
import type { FrameStep, FromThread, PackedBlob, ToThread } from './packing-messages';
import { SegmentPacker } from './segment-packer';

let packer: SegmentPacker | undefined;
/** Ciphertext of the packer's start goes out with the first frame. */
let started: Buffer[] = [];

parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'open') {
    const { header, sessionKey } = message.message;
    packer = new SegmentPacker({ header: asBuffer(header), sessionKey: asBuffer(sessionKey) });
    started = packer.start();
  } else if (message.kind === 'frame') {
    takeFrame(asBuffer(message.frame), message.steps, message.cost);
  } else {
    const { ciphertext, packed } = open().finish();
    send({ kind: 'finished', ciphertext: joined([...started, ...ciphertext]), segment: packed });
    started = [];
    packer = undefined;
  }
});

function takeFrame(frame: Buffer, steps: FrameStep[], cost: number): void {
  const segment = open();
  const ciphertext = started;
  started = [];
  const blobs: PackedBlob[] = [];
  let at = 0;
  for (const step of steps) {
    if (step === 'end') {
      const ended = segment.end();
      ciphertext.push(...ended.ciphertext);
      blobs.push({ stored: ended.stored, inTar: ended.packed });
    } else if ('begin' in step) {
      ciphertext.push(...segment.begin(step.begin));
    } else {
      ciphertext.push(...segment.data(frame.subarray(at, at + step.data)));
      at += step.data;
    }
  }
  send({ kind: 'packed', ciphertext: joined(ciphertext), cost, blobs });
}

function open(): SegmentPacker {
  if (!packer) throw new Error('no segment is open');
  return packer;
}

/** One piece of memory of its own, which can be handed over without a copy. */
function joined(pieces: Buffer[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function send(message: FromThread & { ciphertext: Uint8Array<ArrayBuffer> }): void {
  parentPort?.postMessage(message, [message.ciphertext.buffer]);
}

/** Buffers arrive as plain byte arrays. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
