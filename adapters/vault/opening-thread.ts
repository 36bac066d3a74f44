/** Hashes, decrypts and proves segments away from the main thread. Started by `opening.ts`. */
import { createHash, type Hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { DrydockError } from '../../domain/errors';
import { failureOf, type ThreadFailure } from '../stream/thread';
import type { FromOpeningThread, GivenStep, OpeningJob, ToOpeningThread } from './opening-messages';
import { notHeld, SegmentOpener, type Opened, type Place } from './segment-opener';

const FRAME_BYTES = 1 << 20;
const MAX_FREE_FRAMES = 6;

/** One job from its first byte to its last. */
class Work {
  private readonly hash: Hash | null;
  private opener: SegmentOpener | null = null;
  private readonly bad: number[] = [];
  private unopened: ThreadFailure | undefined;

  constructor(job: OpeningJob) {
    this.hash = job.hash ? createHash('sha256') : null;
    if (!job.open) return;
    const { segment, sessionKey, bodyStart, places, give } = job.open;
    const key = Buffer.from(sessionKey.buffer, sessionKey.byteOffset, sessionKey.byteLength);
    this.opener = new SegmentOpener({ sessionKey: key, bodyStart }, places, give ? giver(segment, places) : counter(this.bad));
  }

  take(bytes: Buffer): void {
    this.hash?.update(bytes);
    this.attempt((opener) => opener.write(bytes));
  }

  end(): void {
    this.attempt((opener) => {
      for (const place of opener.end()) this.bad.push(place);
    });
    flush();
    const sha256 = this.hash?.digest('hex');
    send({ kind: 'ended', end: { bad: this.bad, ...(sha256 === undefined ? {} : { sha256 }), ...(this.unopened ? { unopened: this.unopened } : {}) } });
  }

  /** Where the ciphertext is hashed as well, that goes on although nothing more can be decrypted. */
  private attempt(act: (opener: SegmentOpener) => void): void {
    if (!this.opener) return;
    try {
      act(this.opener);
    } catch (error) {
      if (!this.hash) throw error;
      this.unopened = failureOf(error);
      this.opener = null;
    }
  }
}

const freeFrames: ArrayBuffer[] = [];
let work: Work | null = null;
let frame: Buffer | null = null;
let filled = 0;
let steps: GivenStep[] = [];

parentPort?.on('message', (message: ToOpeningThread) => {
  try {
    switch (message.kind) {
      case 'start':
        [frame, filled, steps] = [null, 0, []];
        work = new Work(message.job);
        break;
      case 'ciphertext':
        work?.take(Buffer.from(message.bytes.buffer, message.bytes.byteOffset, message.bytes.byteLength));
        send({ kind: 'taken', bytes: message.bytes.byteLength });
        break;
      case 'read':
        readFrom(message.fd, message.position, message.bytes);
        break;
      case 'memory':
        if (freeFrames.length < MAX_FREE_FRAMES) freeFrames.push(message.memory);
        break;
      case 'end':
        work?.end();
        work = null;
        break;
    }
  } catch (error) {
    work = null;
    send({ kind: 'failed', failure: failureOf(error) });
  }
});

/** Memory for what is read here; it is used up before the next piece. */
const piece = Buffer.allocUnsafeSlow(FRAME_BYTES);

function readFrom(fd: number, position: number, bytes: number): void {
  for (let at = 0; at < bytes; ) {
    const found = readSome(fd, position + at, Math.min(piece.length, bytes - at));
    if (found === 0) break;
    work?.take(piece.subarray(0, found));
    at += found;
  }
  send({ kind: 'taken', bytes });
}

function readSome(fd: number, position: number, bytes: number): number {
  try {
    return readSync(fd, piece, 0, bytes, position);
  } catch (cause) {
    throw new DrydockError('VaultUnavailable', `a segment cannot be read (${cause instanceof Error ? cause.message : String(cause)})`, { remedy: 'check the disk of the vault', cause });
  }
}

function counter(bad: number[]): Opened {
  return { begin: () => undefined, data: () => undefined, end: (place, fault) => void (fault === null || bad.push(place)) };
}

function giver(segment: string, places: readonly Place[]): Opened {
  return {
    begin: (place) => void steps.push({ begin: place }),
    data: give,
    end: (place, fault) => {
      if (fault !== null) throw notHeld(segment, places[place]!.path, fault);
      steps.push('end');
    },
  };
}

function give(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    frame ??= Buffer.from(freeFrames.pop() ?? new ArrayBuffer(FRAME_BYTES));
    const copied = bytes.copy(frame, filled, at);
    filled += copied;
    at += copied;
    const last = steps.at(-1);
    if (typeof last === 'object' && 'data' in last) last.data += copied;
    else steps.push({ data: copied });
    if (filled === FRAME_BYTES) flush();
  }
}

function flush(): void {
  if (steps.length === 0) return;
  const full = (frame?.buffer ?? new ArrayBuffer(0)) as ArrayBuffer;
  send({ kind: 'given', frame: full, steps }, full);
  [frame, filled, steps] = [null, 0, []];
}

function send(message: FromOpeningThread, transferred?: ArrayBuffer): void {
  parentPort?.postMessage(message, transferred ? [transferred] : []);
}
