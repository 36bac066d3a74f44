/** Reading tar archives strictly: every header checked, the end of the archive seen, nothing behind it. */
import { DrydockError } from '../../domain/errors';
import { paddingOf, parseHeader, parsePax, TAR_BLOCK, type RawHeader, type TarMember } from './tar-header';

export interface TarHandlers {
  /** A member starts. `dataOffset` is where its data starts in the archive. */
  member(member: TarMember, dataOffset: number): void;
  data(chunk: Buffer): void;
  memberEnd(): void;
}

/** Names and pax records are small; more is an attack on memory. */
const MAX_EXTENSION_BYTES = 1 << 20;
const EXTENSION_FLAGS = new Set(['x', 'g', 'L', 'K']);

/** A push parser without waiting: give it chunks of any size, whose memory may be used again after each call, then call `end`. Memory use does not depend on the archive. */
export class TarParser {
  /** Bytes read so far. */
  offset = 0;
  private header: Buffer[] = [];
  private headerBytes = 0;
  private dataLeft = 0;
  private paddingLeft = 0;
  private zeroBlocks = 0;
  private inMember = false;
  private extension: { flag: string; parts: Buffer[] } | null = null;
  private pending = new Map<string, string>();
  /** Of all extensions of the next member. */
  private extensionBytes = 0;

  constructor(private readonly handlers: TarHandlers) {}

  /** Whether the two blocks of zeros that end an archive were seen. */
  get ended(): boolean {
    return this.zeroBlocks >= 2;
  }

  /** Throws IntegrityMismatch. */
  write(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const used = this.step(chunk.subarray(at));
      at += used;
      this.offset += used;
    }
  }

  /** Throws IntegrityMismatch, with `cutShort` among its details, when the archive is cut short. */
  end(): void {
    if (this.ended && this.headerBytes === 0) return;
    const where = this.inMember ? 'within the data of a member' : this.headerBytes > 0 ? 'within a header' : 'without the two blocks of zeros that end an archive';
    throw damaged(this.offset === 0 ? 'it is empty' : `it is cut short after ${this.offset} bytes, ${where}`, { cutShort: true });
  }

  /** Uses up a part of the bytes, at least one. */
  private step(bytes: Buffer): number {
    if (this.dataLeft > 0) {
      const data = bytes.subarray(0, this.dataLeft);
      this.dataLeft -= data.length;
      if (this.extension) this.extension.parts.push(Buffer.from(data));
      else this.handlers.data(data);
      if (this.dataLeft === 0 && this.paddingLeft === 0) this.finishMember();
      return data.length;
    }
    if (this.paddingLeft > 0) {
      const skipped = Math.min(this.paddingLeft, bytes.length);
      this.paddingLeft -= skipped;
      if (this.paddingLeft === 0) this.finishMember();
      return skipped;
    }
    const part = bytes.subarray(0, TAR_BLOCK - this.headerBytes);
    // A part of a header waits for the rest in memory of its own.
    this.header.push(part.length === TAR_BLOCK ? part : Buffer.from(part));
    this.headerBytes += part.length;
    if (this.headerBytes === TAR_BLOCK) {
      const block = this.header.length === 1 ? part : Buffer.concat(this.header);
      this.header = [];
      this.headerBytes = 0;
      this.takeHeader(block, this.offset + part.length);
    }
    return part.length;
  }

  private takeHeader(block: Buffer, dataOffset: number): void {
    const header = parseHeader(block);
    if (!header) {
      this.zeroBlocks += 1;
      return;
    }
    if (this.ended) throw damaged('something stands behind its end');
    if (this.zeroBlocks > 0) throw damaged('a block of zeros stands in its middle');
    if (EXTENSION_FLAGS.has(header.flag)) this.startExtension(header);
    else this.startMember(header, dataOffset);
  }

  private startExtension(header: RawHeader): void {
    this.extensionBytes += header.size;
    if (!(header.size >= 0 && this.extensionBytes <= MAX_EXTENSION_BYTES)) throw damaged('an extended header is too long');
    this.extension = { flag: header.flag, parts: [] };
    this.startData(header.size);
  }

  private startMember(header: RawHeader, dataOffset: number): void {
    const size = this.pending.has('size') ? Number(this.pending.get('size')) : header.size;
    const member: TarMember = {
      ...withoutFlag(header),
      name: this.pending.get('path') ?? header.name,
      linkName: this.pending.get('linkpath') ?? header.linkName,
      // A link's size says nothing about data in the archive.
      size: header.type === 'file' || header.type === 'other' ? size : 0,
      uid: Number(this.pending.get('uid') ?? header.uid),
      gid: Number(this.pending.get('gid') ?? header.gid),
      mtime: Number(this.pending.get('mtime') ?? header.mtime),
    };
    this.pending = new Map();
    this.extensionBytes = 0;
    if (![member.size, member.uid, member.gid].every((number) => Number.isSafeInteger(number) && number >= 0)) throw damaged('a member has an impossible size or owner');
    this.inMember = true;
    this.handlers.member(member, dataOffset);
    this.startData(member.size);
  }

  private startData(size: number): void {
    this.dataLeft = size;
    this.paddingLeft = paddingOf(size);
    if (size === 0) this.finishMember();
  }

  private finishMember(): void {
    if (!this.extension) {
      this.inMember = false;
      this.handlers.memberEnd();
      return;
    }
    const { flag, parts } = this.extension;
    const data = Buffer.concat(parts);
    this.extension = null;
    if (flag === 'x') for (const [key, value] of parsePax(data)) this.pending.set(key, value);
    if (flag === 'L') this.pending.set('path', untilZero(data));
    if (flag === 'K') this.pending.set('linkpath', untilZero(data));
  }
}

function withoutFlag(header: RawHeader): TarMember {
  const { name, type, size, mode, uid, gid, mtime, linkName } = header;
  return { name, type, size, mode, uid, gid, mtime, linkName };
}

function untilZero(data: Buffer): string {
  const end = data.indexOf(0);
  return data.subarray(0, end < 0 ? data.length : end).toString('utf8');
}

function damaged(why: string, details?: Record<string, unknown>): DrydockError {
  return new DrydockError('IntegrityMismatch', `the archive is damaged: ${why}`, { remedy: 'make the archive again; if it is stored, use another backup', ...(details ? { details } : {}) });
}
