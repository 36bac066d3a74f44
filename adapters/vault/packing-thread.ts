/** Hashes, packs and encrypts away from the main thread. Started by `packing.ts`. */
import { parentPort } from 'node:worker_threads';
import { PieceWriter } from '../openpgp/framing';
import type { FrameStep, FromThread, ToThread } from './packing-messages';
import { SegmentPacker, type PackedBlob } from './segment-packer';

/** What was written and may be used again. */
const memory: ArrayBuffer[] = [];
let packer: SegmentPacker | undefined;

parentPort?.on('message', (message: ToThread) => {
  switch (message.kind) {
    case 'open': {
      const { header, sessionKey } = message.message;
      packer = new SegmentPacker({ header: asBuffer(header), sessionKey: asBuffer(sessionKey) }, sendCiphertext, takeMemory);
      break;
    }
    case 'frame':
      send({ kind: 'packed', frame: message.frame, cost: message.cost, blobs: takeFrame(Buffer.from(message.frame), message.steps) }, message.frame);
      break;
    case 'memory':
      memory.push(message.memory);
      break;
    case 'finish':
      send({ kind: 'finished', segment: open().finish() });
      packer = undefined;
      break;
  }
});

function takeFrame(frame: Buffer, steps: FrameStep[]): PackedBlob[] {
  const segment = open();
  const blobs: PackedBlob[] = [];
  let at = 0;
  for (const step of steps) {
    if (step === 'end') {
      blobs.push(segment.end());
    } else if ('begin' in step) {
      segment.begin(step.begin);
    } else {
      segment.data(frame.subarray(at, at + step.data));
      at += step.data;
    }
  }
  return blobs;
}

function open(): SegmentPacker {
  if (!packer) throw new Error('no segment is open');
  return packer;
}

function takeMemory(): Buffer {
  return Buffer.from(memory.pop() ?? new ArrayBuffer(PieceWriter.PIECE_BYTES));
}

/** A piece is handed over with its memory; the few bytes of headers are no piece and are copied. */
function sendCiphertext(ciphertext: Buffer): void {
  const whole = ciphertext.buffer.byteLength === PieceWriter.PIECE_BYTES ? ciphertext : Buffer.from(new Uint8Array(ciphertext).buffer);
  send({ kind: 'ciphertext', memory: whole.buffer as ArrayBuffer, offset: whole.byteOffset, length: whole.length }, whole.buffer as ArrayBuffer);
}

function send(message: FromThread, transferred?: ArrayBuffer): void {
  parentPort?.postMessage(message, transferred ? [transferred] : []);
}

/** Buffers arrive as plain byte arrays. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
