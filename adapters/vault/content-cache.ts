/**
 * Copies of what never changes in a vault, on this machine's disk, by digest. Whoever reads says which digest it must have, and a copy that has another one is
 * thrown away. Several processes may use one folder: files appear whole or not at all. It may be removed at any time.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

const DAY_MS = 86_400_000;
/** A copy that nobody has read for so long goes. */
const MAX_AGE_MS = 90 * DAY_MS;
const MAX_BYTES = 1 << 30;

export class ContentCache {
  private hasWritten = false;

  constructor(
    private readonly folder: string,
    private readonly maxBytes = MAX_BYTES,
  ) {}

  /** Null when there is no copy with just these bytes. */
  async read({ bytes, sha256 }: { bytes: number; sha256: string }): Promise<Buffer | null> {
    const content = await this.load(sha256);
    if (content === null) return null;
    if (content.length === bytes && digestOf(content) === sha256) return content;
    await rm(this.fileOf(sha256), { force: true }).catch(() => undefined);
    return null;
  }

  /** A disk that takes nothing more is no fault: then there is no copy. `sha256`: of `content`. */
  async write(sha256: string, content: Buffer): Promise<void> {
    const file = this.fileOf(sha256);
    const part = `${file}.${randomBytes(6).toString('hex')}.part`;
    try {
      await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
      await writeFile(part, content, { mode: 0o600 });
      await rename(part, file);
      this.hasWritten = true;
    } catch {
      await rm(part, { force: true }).catch(() => undefined);
    }
  }

  /** What was worked out from a content with this digest; it holds a digest of its own. Null when there is none. */
  async readDerived(sha256: string): Promise<Buffer | null> {
    const content = await this.load(`${sha256}.derived`);
    const rest = content?.subarray(DIGEST_LENGTH) ?? null;
    return rest !== null && content!.toString('latin1', 0, DIGEST_LENGTH) === digestOf(rest) ? rest : null;
  }

  writeDerived(sha256: string, content: Buffer): Promise<void> {
    return this.write(`${sha256}.derived`, Buffer.concat([Buffer.from(digestOf(content)), content]));
  }

  /** Removes what is old, and of the rest the oldest until it fits. Does nothing where nothing was written. */
  async sweep(now = Date.now()): Promise<void> {
    if (!this.hasWritten) return;
    this.hasWritten = false;
    const files: { file: string; bytes: number; used: number }[] = [];
    for (const entry of await readdir(this.folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
      if (!entry.isFile()) continue;
      const file = path.join(entry.parentPath, entry.name);
      const found = await stat(file).catch(() => null);
      if (found) files.push({ file, bytes: found.size, used: found.mtimeMs });
    }
    let left = files.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { file, bytes, used } of files.sort((a, b) => a.used - b.used)) {
      const isLeftOver = file.endsWith('.part') && now - used > DAY_MS;
      if (left <= this.maxBytes && now - used <= MAX_AGE_MS && !isLeftOver) continue;
      await rm(file, { force: true }).catch(() => undefined);
      left -= bytes;
    }
  }

  private async load(name: string): Promise<Buffer | null> {
    const handle = await open(this.fileOf(name), 'r').catch(() => null);
    if (handle === null) return null;
    try {
      const { mtimeMs } = await handle.stat();
      // That it is in use is noted once a day.
      if (Date.now() - mtimeMs > DAY_MS) await handle.utimes(new Date(), new Date()).catch(() => undefined);
      return await handle.readFile();
    } catch {
      return null;
    } finally {
      await handle.close().catch(() => undefined);
    }
  }

  private fileOf(name: string): string {
    return path.join(this.folder, name.slice(0, 2), name);
  }
}

const DIGEST_LENGTH = 64;

function digestOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
