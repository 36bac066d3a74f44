/** What a packing thread and its owner say to each other. */
import type { StoredBlob } from '../../domain/vault-format';
import type { NewMessage } from '../openpgp/message-encryptor';
import type { NewBlob, PackedSegment } from './segment-packer';

/** What a thread does with a frame, in the order in which it came; `data` takes so many bytes of the frame. */
export type FrameStep = { begin: NewBlob } | { data: number } | 'end';

/** `cost` is what a frame counts for until it has been packed and written. */
export type ToThread =
  | { kind: 'open'; message: NewMessage }
  | { kind: 'frame'; frame: Uint8Array; steps: FrameStep[]; cost: number }
  | { kind: 'finish' };

export type FromThread =
  | { kind: 'packed'; ciphertext: Uint8Array; cost: number; blobs: PackedBlob[] }
  | { kind: 'finished'; ciphertext: Uint8Array; segment: PackedSegment };

/** A blob that has ended; `inTar` tells whether its bytes are in the segment. */
export interface PackedBlob {
  stored: StoredBlob;
  inTar: boolean;
}
