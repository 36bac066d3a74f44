/** A vault in memory that counts what it is asked, and how much of that at the same time: for what has to stay cheap over a distance. */
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { Upload } from '../../adapters/vault/upload';
import type { Vault, VaultEntry, VaultUpload } from '../../adapters/vault/vault';
import { DrydockError } from '../../domain/errors';

export class CountingVault implements Vault {
  readonly description = 'a vault in memory';
  readonly lockDays = null;
  readonly files = new Map<string, Buffer>();
  calls: string[] = [];
  /** The most calls that were open at once since `forget`. */
  atOnce = 0;
  private open = 0;

  /** Counts anew from here. */
  forget(): void {
    this.calls = [];
    this.atOnce = 0;
  }

  async *list(prefix: string): AsyncGenerator<VaultEntry> {
    await this.call(`list ${prefix}`);
    for (const name of [...this.files.keys()].filter((each) => each.startsWith(prefix)).sort()) yield this.entry(name);
  }

  async stat(name: string): Promise<VaultEntry | null> {
    await this.call(`stat ${name}`);
    return this.files.has(name) ? this.entry(name) : null;
  }

  async read(name: string, range: { offset: number; length?: number } = { offset: 0 }): Promise<Readable> {
    await this.call(`read ${name}`);
    const content = this.content(name).subarray(range.offset, range.length === undefined ? undefined : range.offset + range.length);
    return Readable.from(content.length === 0 ? [] : [content], { objectMode: false });
  }

  async readAll(name: string, maxBytes: number): Promise<Buffer> {
    await this.call(`read ${name}`);
    const content = this.content(name);
    if (content.length > maxBytes) throw new DrydockError('IntegrityMismatch', `${name} has ${content.length} bytes, more than ${maxBytes}`);
    return content;
  }

  async upload(name: string): Promise<VaultUpload> {
    await this.call(`upload ${name}`);
    const parts: Buffer[] = [];
    return new Upload(name, {
      write: (chunks) => Promise.resolve(void parts.push(...chunks.map((chunk) => Buffer.from(chunk)))),
      flush: () => Promise.resolve(),
      keep: () => Promise.resolve(this.create(name, Buffer.concat(parts))),
      discard: () => Promise.resolve(),
    });
  }

  async put(name: string, content: Buffer | string): Promise<void> {
    await this.call(`put ${name}`);
    this.create(name, Buffer.from(content));
  }

  async remove(name: string): Promise<void> {
    await this.call(`remove ${name}`);
    this.files.delete(name);
  }

  removeFolder(): Promise<void> {
    return Promise.resolve();
  }

  extendRetention(): Promise<null> {
    return Promise.resolve(null);
  }

  removeExpired(): Promise<number> {
    return Promise.resolve(0);
  }

  freeBytes(): Promise<null> {
    return Promise.resolve(null);
  }

  clock(): Promise<Date> {
    return Promise.resolve(new Date());
  }

  check(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private async call(what: string): Promise<void> {
    this.calls.push(what);
    this.open += 1;
    this.atOnce = Math.max(this.atOnce, this.open);
    await turn();
    this.open -= 1;
  }

  private create(name: string, content: Buffer): void {
    if (this.files.has(name)) throw new DrydockError('Conflict', `${name} exists already`);
    this.files.set(name, content);
  }

  private content(name: string): Buffer {
    const content = this.files.get(name);
    if (content === undefined) throw new DrydockError('NotFound', `${name} is not in the vault`);
    return content;
  }

  private entry(name: string): VaultEntry {
    return { name, size: this.content(name).length, modified: new Date(0) };
  }
}
