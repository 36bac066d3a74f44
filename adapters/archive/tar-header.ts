/** Header blocks of tar archives: ustar with pax records where needed, which GNU tar, bsdtar and Go read. */
import { DrydockError } from '../../domain/errors';

export const TAR_BLOCK = 512;
export const END_OF_ARCHIVE = Buffer.alloc(2 * TAR_BLOCK);

export type TarType = 'file' | 'directory' | 'symlink' | 'link' | 'other';

export interface TarMember {
  name: string;
  type: TarType;
  /** Bytes of data that follow. */
  size: number;
  mode: number;
  uid: number;
  gid: number;
  /** Seconds. */
  mtime: number;
  linkName: string;
}

/** What a header block says before pax records or GNU long names are applied. */
export interface RawHeader extends TarMember {
  flag: string;
}

const ZERO = '0'.charCodeAt(0);
const SPACE = ' '.charCodeAt(0);
const FLAGS: Record<string, TarType> = { '0': 'file', '\0': 'file', '7': 'file', '5': 'directory', '2': 'symlink', '1': 'link' };

/** Bytes that follow `size` bytes of data up to the next block. */
export function paddingOf(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

/** Reads one header block; null for a block of zeros. Throws IntegrityMismatch when the checksum is wrong. */
export function parseHeader(block: Buffer): RawHeader | null {
  if (block.every((octet) => octet === 0)) return null;
  if (number(block, 148, 8) !== checksum(block)) {
    throw new DrydockError('IntegrityMismatch', 'a tar header has a wrong checksum', { remedy: 'the archive is damaged or is no tar archive; make it again' });
  }
  const flag = String.fromCharCode(block[156]!);
  const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: FLAGS[flag] ?? 'other',
    flag,
    size: number(block, 124, 12),
    mode: number(block, 100, 8),
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    mtime: number(block, 136, 12),
    linkName: text(block, 157, 100),
  };
}

export interface NewMember {
  name: string;
  type: 'file' | 'directory';
  size?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
}

const MAX_OCTAL_SIZE = 0o77777777777;
const MAX_OCTAL_ID = 0o7777777;

/** The header blocks of one member; its data and padding follow. A directory's name gets its `/`. */
export function makeHeader(member: NewMember): Buffer {
  const name = member.type === 'directory' && !member.name.endsWith('/') ? `${member.name}/` : member.name;
  const size = member.size ?? 0;
  const uid = member.uid ?? 0;
  const gid = member.gid ?? 0;
  const split = splitName(name);
  const block = headerBlock({
    prefix: split ? split.prefix : '',
    name: split ? split.name : Buffer.from(name).subarray(0, 99).toString('latin1'),
    flag: member.type === 'directory' ? '5' : '0',
    mode: member.mode ?? (member.type === 'directory' ? 0o755 : 0o644),
    uid: Math.min(uid, MAX_OCTAL_ID),
    gid: Math.min(gid, MAX_OCTAL_ID),
    size: Math.min(size, MAX_OCTAL_SIZE),
    mtime: member.mtime ?? 0,
  });
  if (split && size <= MAX_OCTAL_SIZE && uid <= MAX_OCTAL_ID && gid <= MAX_OCTAL_ID) return block;
  const records: Record<string, string> = {
    ...(split ? {} : { path: name }),
    ...(size > MAX_OCTAL_SIZE ? { size: String(size) } : {}),
    ...(uid > MAX_OCTAL_ID ? { uid: String(uid) } : {}),
    ...(gid > MAX_OCTAL_ID ? { gid: String(gid) } : {}),
  };
  const data = paxData(records);
  const pax = headerBlock({ prefix: '', name: 'PaxHeader', flag: 'x', mode: 0o644, uid: 0, gid: 0, size: data.length, mtime: 0 });
  return Buffer.concat([pax, data, Buffer.alloc(paddingOf(data.length)), block]);
}

/** Parses the data of a pax extended header. Throws IntegrityMismatch. */
export function parsePax(data: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(data.subarray(at, space).toString('latin1'));
    const record = data.subarray(space + 1, at + length - 1).toString('utf8');
    const equals = record.indexOf('=');
    if (!Number.isInteger(length) || length < 5 || at + length > data.length || equals < 1) {
      throw new DrydockError('IntegrityMismatch', 'a pax header of a tar archive cannot be read', { remedy: 'the archive is damaged; make it again' });
    }
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function paxData(records: Record<string, string>): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    const bytes = Buffer.byteLength(rest);
    let length = bytes + String(bytes).length;
    // The length counts its own digits, which may grow by one.
    if (bytes + String(length).length > length) length += 1;
    return `${length}${rest}`;
  });
  return Buffer.from(lines.join(''));
}

/** ustar's two fields; null when the name needs a pax record. */
function splitName(name: string): { prefix: string; name: string } | null {
  if (!/^[\x20-\x7e]+$/.test(name)) return null;
  if (name.length <= 100) return { prefix: '', name };
  const slash = name.indexOf('/', name.length - 101);
  return slash > 0 && slash <= 155 && slash < name.length - 1 ? { prefix: name.slice(0, slash), name: name.slice(slash + 1) } : null;
}

interface HeaderFields {
  prefix: string;
  name: string;
  flag: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
}

function headerBlock(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(fields.name, 0, 100, 'latin1');
  octal(block, fields.mode, 100, 8);
  octal(block, fields.uid, 108, 8);
  octal(block, fields.gid, 116, 8);
  octal(block, fields.size, 124, 12);
  octal(block, Math.floor(fields.mtime), 136, 12);
  block.write(fields.flag, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.write(fields.prefix, 345, 155, 'latin1');
  octal(block, checksum(block), 148, 7);
  block[155] = SPACE;
  return block;
}

/** Digits and an octet of zero, in a field of so many octets. */
function octal(block: Buffer, value: number, at: number, length: number): void {
  let rest = value;
  for (let digit = at + length - 2; digit >= at; digit -= 1) {
    block[digit] = ZERO + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

/** The field of the checksum itself counts as spaces. */
function checksum(block: Buffer): number {
  let sum = 8 * SPACE;
  for (let at = 0; at < 148; at += 1) sum += block[at]!;
  for (let at = 156; at < TAR_BLOCK; at += 1) sum += block[at]!;
  return sum;
}

function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  return block.toString('utf8', at, end < 0 || end > at + length ? at + length : end);
}

/** Octal digits, or GNU's base 256 for what does not fit. */
function number(block: Buffer, at: number, length: number): number {
  if ((block[at]! & 0x80) !== 0) {
    let value = block[at]! & 0x7f;
    for (let i = at + 1; i < at + length; i += 1) value = value * 256 + block[i]!;
    return value;
  }
  let next = at;
  while (next < at + length && block[next] === SPACE) next += 1;
  const first = next;
  let value = 0;
  for (let digit = block[next]! - ZERO; next < at + length && digit >= 0 && digit <= 7; digit = block[next]! - ZERO) {
    value = value * 8 + digit;
    next += 1;
  }
  if (next > first) return value;
  const other = text(block, at, length).trim();
  return other === '' ? 0 : Number.parseInt(other, 8);
}
