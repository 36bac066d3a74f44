/** What an opening thread and its owner say to each other. */
import type { ThreadFailure } from '../stream/thread';
import type { Place } from './segment-opener';

/** What is to be done with the ciphertext that follows. */
export interface OpeningJob {
  /** Hash the ciphertext. */
  hash: boolean;
  /** Decrypt it and prove what is wanted. */
  open?: {
    segment: string;
    sessionKey: Uint8Array;
    bodyStart: number;
    places: Place[];
    /** Hand the bytes out. Then a blob that is not right fails the job; else it is counted. */
    give: boolean;
  };
}

export interface OpeningEnd {
  /** Of the ciphertext, where it was asked for. */
  sha256?: string;
  /** Numbers of the wanted places that did not come as they are recorded. */
  bad: number[];
  /** Why the message could not be opened to its end, where its ciphertext was hashed all the same. */
  unopened?: ThreadFailure;
}

/** `read`: up to so many bytes come from the file that is open under `fd`, from `position`. `memory`: of a frame that was used up. */
export type ToOpeningThread = { kind: 'start'; job: OpeningJob } | { kind: 'ciphertext'; bytes: Uint8Array } | { kind: 'read'; fd: number; position: number; bytes: number } | { kind: 'memory'; memory: ArrayBuffer } | { kind: 'end' };

/** What stands in a frame, in order; `data` takes so many of its bytes. */
export type GivenStep = { begin: number } | { data: number } | 'end';

/** `taken` says that so much ciphertext has been dealt with. */
export type FromOpeningThread =
  | { kind: 'taken'; bytes: number }
  | { kind: 'given'; frame: ArrayBuffer; steps: GivenStep[] }
  | { kind: 'ended'; end: OpeningEnd }
  | { kind: 'failed'; failure: ThreadFailure };
