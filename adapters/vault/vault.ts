import type { Readable, Writable } from 'node:stream';

export interface VaultEntry {
  /** Name relative to the vault's root, `/`-separated. */
  name: string;
  size: number;
  modified: Date;
}

/** One new object being written. Nothing is visible under its name before `commit`. */
export interface VaultUpload {
  readonly stream: Writable;
  /** Call after the stream has ended. Create-if-absent: throws Conflict when the name exists. Durable (fsync of file and directory) on return. */
  commit(): Promise<void>;
  /** Throws the bytes away; safe after commit (then does nothing) and safe to call twice. */
  abort(): Promise<void>;
}

/**
 * Where backups are kept: a flat space of write-once names. One small interface for directory, SFTP and S3 (the last two come later).
 * Names are checked: relative, no `..`, no empty part, no control character.
 */
export interface Vault {
  /** For people: `directory /srv/vault`. */
  readonly description: string;
  /** All names under a prefix, sorted. Half-written uploads never show. */
  list(prefix: string): AsyncIterable<VaultEntry>;
  /** Null when absent. */
  stat(name: string): Promise<VaultEntry | null>;
  /** Throws NotFound. */
  read(name: string, range?: { offset: number; length?: number }): Promise<Readable>;
  /** Whole object; throws IntegrityMismatch when larger than `maxBytes`. */
  readAll(name: string, maxBytes: number): Promise<Buffer>;
  upload(name: string): Promise<VaultUpload>;
  /** Small object, create-if-absent. */
  put(name: string, content: Buffer | string): Promise<void>;
  /** Absent counts as success. */
  remove(name: string): Promise<void>;
  /** Bytes that can still be written; null when not known. */
  freeBytes(): Promise<number | null>;
  /** Writes, reads and removes a probe; throws with a remedy. Creates vault.json when the vault is new; refuses an unknown newer format version. */
  check(): Promise<void>;
}
