import type { FileHandle } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';

export interface VaultEntry {
  /** Name relative to the vault's root, `/`-separated. */
  name: string;
  size: number;
  /** By the vault's own clock. */
  modified: Date;
}

/** One new object being written. Nothing is visible under its name before `commit`. */
export interface VaultUpload {
  readonly stream: Writable;
  /** Call after the stream has ended. Create-if-absent: throws Conflict when the name exists. Durable on return. */
  commit(): Promise<void>;
  /** Throws the bytes away; safe after commit (then does nothing) and safe to call twice. */
  abort(): Promise<void>;
}

export interface UploadOptions {
  /** How large the object will be, as far as known, in bytes. A bucket chooses its parts by it; too small a value does no harm. */
  expectedBytes?: number;
}

/**
 * Where backups are kept: a flat space of write-once names. One small interface for directory, SFTP server and S3 bucket.
 * Names are checked: relative, no `..`, no empty part, no control character.
 */
export interface Vault {
  /** For people: `directory /srv/vault`. */
  readonly description: string;
  /** For how many days each object is locked from the time it is written; null where the vault locks nothing. */
  readonly lockDays: number | null;
  /** All names under a prefix, sorted. Half-written uploads never show. */
  list(prefix: string): AsyncIterable<VaultEntry>;
  /** Null when absent. */
  stat(name: string): Promise<VaultEntry | null>;
  /** Throws NotFound. */
  read(name: string, range?: { offset: number; length?: number }): Promise<Readable>;
  /**
   * Where this machine can open the object itself: a file for threads to read from, so that its bytes need not go through the main thread.
   * The caller closes it. Throws NotFound. Absent where the vault lies elsewhere.
   */
  openLocally?(name: string): Promise<FileHandle>;
  /** Whole object; throws IntegrityMismatch when larger than `maxBytes`. */
  readAll(name: string, maxBytes: number): Promise<Buffer>;
  upload(name: string, options?: UploadOptions): Promise<VaultUpload>;
  /** Small object, create-if-absent. */
  put(name: string, content: Buffer | string): Promise<void>;
  /** Absent counts as success. Where a lock still holds the bytes, the name disappears now and the bytes when the lock has ended. */
  remove(name: string): Promise<void>;
  /** Removes a folder that nothing is in any more. One that is gone or not empty is left as it is; a bucket has none. */
  removeFolder(name: string): Promise<void>;
  /** Locks an object until at least then; returns until when it is locked now, or null where the vault locks nothing. Never shortens. Throws NotFound. */
  extendRetention(name: string, until: Date): Promise<Date | null>;
  /** Removes the bytes of what was removed under a lock that has ended since; returns of how many objects. 0 where the vault locks nothing. */
  removeExpired(signal?: AbortSignal): Promise<number>;
  /** Bytes that can still be written; null when not known. */
  freeBytes(): Promise<number | null>;
  /** The vault's own time, right to a second: what `modified` is measured by. Writes a probe where there is no other way to ask. */
  clock(): Promise<Date>;
  /** Writes, reads and removes a probe; throws with a remedy. Creates vault.json when the vault is new; refuses an unknown newer format version. */
  check(): Promise<void>;
  /** Ends connections. A vault that is used again opens them again. */
  close(): Promise<void>;
}
