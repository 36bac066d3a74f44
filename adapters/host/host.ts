import type { Readable, Writable } from 'node:stream';

export interface ExecOptions {
  /** Run with root's rights (sudo for an ordinary user). Default true. */
  root?: boolean;
  /** Written to standard input, then end. */
  input?: string | Buffer | Readable;
  signal?: AbortSignal;
  /** No byte for this long is a `Stalled` error. Default 120 s. */
  stallMs?: number;
  /** Exit codes that are not an error. Default [0]. */
  okCodes?: number[];
  /** Most bytes of standard output that are kept; more is an error. Default 8 MiB. */
  maxOutput?: number;
}

export interface ExecResult {
  code: number;
  stdout: string;
  stderr: string;
}

export type SpawnOptions = Pick<ExecOptions, 'root' | 'signal' | 'stallMs'> & {
  /** Hears all of the command's standard error as it comes, of which `exit` keeps the end alone. Must not throw. */
  onStderr?: (piece: Buffer) => void;
};

/** A command that runs on a host with its streams open. */
export interface RemoteProcess {
  /** Calls back for what is written when its memory may be used again. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves when the command ended and its output is read to the end; rejects when the connection is lost. `stderr` holds the last 64 KiB. */
  readonly exit: Promise<{ code: number | null; signal?: string; stderr: string }>;
  /** Takes back a piece that was read from `stdout` and of which nothing is needed any more: its memory is used again. */
  giveBack?(piece: Buffer): void;
  /** Ends the remote command, too; safe to call twice. */
  kill(): Promise<void>;
}

/** One host of a cluster, local or over SSH. Commands are argument lists, never shell text put together by hand. */
export interface Host {
  readonly name: string;
  /** Collects the output. Throws a DrydockError on another exit code (message: command, code, end of stderr). */
  exec(command: string[], options?: ExecOptions): Promise<ExecResult>;
  spawn(command: string[], options?: SpawnOptions): Promise<RemoteProcess>;
  close(): Promise<void>;
}
