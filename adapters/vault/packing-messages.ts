/** What a packing thread and its owner say to each other. Memory goes to and fro with them, so that none is made anew for each megabyte. */
import type { NewMessage } from '../openpgp/message-encryptor';
import type { NewBlob, PackedBlob, PackedSegment } from './segment-packer';

/** What a thread does with a frame, in the order in which it came; `data` takes so many bytes of the frame. */
export type FrameStep = { begin: NewBlob } | { data: number } | 'end';

/** `cost` is what a frame counts for until it has been packed and written. `memory` was written and may be used again. */
export type ToThread =
  | { kind: 'open'; message: NewMessage }
  | { kind: 'frame'; frame: ArrayBuffer; steps: FrameStep[]; cost: number }
  | { kind: 'memory'; memory: ArrayBuffer }
  | { kind: 'finish' };

/** `packed` gives the frame back. */
export type FromThread =
  | { kind: 'ciphertext'; memory: ArrayBuffer; offset: number; length: number }
  | { kind: 'packed'; frame: ArrayBuffer; cost: number; blobs: PackedBlob[] }
  | { kind: 'finished'; segment: PackedSegment };
