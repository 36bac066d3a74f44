/** What an SSH thread and its owner say to each other. Connections and channels go by numbers that the owner gives. */
import type { HostConfig } from '../../domain/config';
import type { ThreadFailure } from '../stream/thread';
import type { SshOptions } from './ssh-connect';

/** Bytes of a piece that carries much. */
export const FRAME_BYTES = 256 * 1024;

export type ChannelStream = 'output' | 'errors';

/** `abort` gives up connecting; `taken` says that so much memory of output has been read; `memory` may be used again; `release` closes a channel that nobody reads. */
export type ToSshThread =
  | { kind: 'connect'; connection: number; name: string; config: HostConfig; options: Omit<SshOptions, 'signal' | 'place' | 'call'> }
  | { kind: 'abort'; connection: number }
  | { kind: 'close'; connection: number }
  | { kind: 'exec'; connection: number; channel: number; command: string }
  | { kind: 'input'; channel: number; memory: ArrayBuffer; bytes: number }
  | { kind: 'endInput'; channel: number }
  | { kind: 'taken'; channel: number; stream: ChannelStream; bytes: number }
  | { kind: 'memory'; memory: ArrayBuffer }
  | { kind: 'release'; channel: number };

/** `wrote`: what was given as input is on its way, and its memory comes back. */
export type FromSshThread =
  | { kind: 'connected'; connection: number }
  | { kind: 'refused'; connection: number; failure: ThreadFailure }
  | { kind: 'lost'; connection: number; reason: string }
  | { kind: 'closed'; connection: number }
  | { kind: 'opened'; channel: number }
  | { kind: 'notOpened'; channel: number; isLost: boolean; reason: string }
  | { kind: 'output'; channel: number; stream: ChannelStream; memory: ArrayBuffer; bytes: number }
  | { kind: 'outputEnd'; channel: number; stream: ChannelStream }
  | { kind: 'wrote'; channel: number; memory: ArrayBuffer; bytes: number }
  | { kind: 'exit'; channel: number; code: number | null; signal?: string }
  | { kind: 'channelClosed'; channel: number };
