/** Key files as people put them together: armoured blocks one after another, or binary keys one after another. Nothing in them is passed over in silence. */
import * as openpgp from 'openpgp';
import { DrydockError } from '../../domain/errors';
import { parseLength } from './framing';

/** One armoured block, or all of a binary file. */
export interface KeyBlock {
  /** Packets of one key or of several. */
  readonly packets: Uint8Array;
  /** For people: `FILE` or `FILE (line 12)`. */
  readonly place: string;
  readonly isPrivate: boolean;
  /** How many keys it should hold. */
  readonly keyCount: number;
}

const BEGIN = /^-----BEGIN PGP ([A-Z ]+)-----$/;
const END = /^-----END PGP ([A-Z ]+)-----$/;
const KEY_KINDS = ['PUBLIC KEY BLOCK', 'PRIVATE KEY BLOCK'];
const CHECKSUM = /^=([A-Za-z0-9+/]{4})$/;
const REMEDY = 'export the keys anew and put whole blocks one after another: gpg --armor --export FINGERPRINT >> FILE (private keys: --export-secret-keys)';
const TAG_SECRET_KEY = 5;
const TAG_PUBLIC_KEY = 6;

/** All blocks of a file; empty when it holds none. `name`: the file, for people. Throws InvalidInput for a block that is garbled, cut short or no key, and for what is left of one between blocks. */
export async function readKeyBlocks(content: Buffer, name: string): Promise<KeyBlock[]> {
  if (isBinary(content)) return [asBlock(content, name)];
  const blocks: KeyBlock[] = [];
  for (const { line, text } of splitBlocks(content.toString('utf8').replace(/^\ufeff/, ''), name)) blocks.push(asBlock(await bytesOf(text, `${name} (line ${line})`), `${name} (line ${line})`));
  return blocks;
}

/** The sentence for a block whose keys are not all of a form that can be read. */
export function unreadable({ place, keyCount }: KeyBlock, readCount: number): DrydockError {
  return garbled(place, `the key block holds ${keyCount} key(s), of which ${keyCount - readCount} cannot be read (OpenPGP version 4 is known)`);
}

/** Each packet begins with an octet above 127, which no armour does; a byte order mark is text. */
function isBinary(content: Buffer): boolean {
  return content.length > 0 && content[0]! >= 0x80 && !content.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf]));
}

function splitBlocks(text: string, name: string): { line: number; text: string }[] {
  const blocks: { line: number; text: string }[] = [];
  let open: { line: number; kind: string; lines: string[] } | null = null;
  for (const [at, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (open === null) {
      const kind = BEGIN.exec(line)?.[1];
      if (kind !== undefined && !KEY_KINDS.includes(kind)) throw garbled(`${name} (line ${at + 1})`, `a PGP ${kind} stands there, which is no key`);
      if (kind !== undefined) open = { line: at + 1, kind, lines: [line] };
      else if (isLeftOver(line)) throw garbled(`${name} (line ${at + 1})`, 'what looks like a part of a key block stands outside of any');
      continue;
    }
    open.lines.push(line);
    if (END.exec(line)?.[1] === open.kind) {
      blocks.push({ line: open.line, text: `${open.lines.join('\n')}\n` });
      open = null;
    } else if (line.includes('-----')) {
      throw garbled(`${name} (line ${open.line})`, `the key block has no end: line ${at + 1} is not its END line`);
    }
  }
  if (open) throw garbled(`${name} (line ${open.line})`, 'the key block has no end: the file ends before it');
  return blocks;
}

/** Armour or a line of it that lost its place; other text beside blocks is a remark. */
function isLeftOver(line: string): boolean {
  if (/(BEGIN|END) PGP|KEY BLOCK|-----\s*\w|\w\s*-----/i.test(line) || CHECKSUM.test(line)) return true;
  // A fingerprint is as long as a line of armour, and people write it beside a key.
  return /^[A-Za-z0-9+/]{40,}={0,2}$/.test(line) && !/^[0-9A-Fa-f]+$/.test(line);
}

/** OpenPGP.js passes by the checksum of the armour, which tells of a line that is missing. */
async function bytesOf(text: string, place: string): Promise<Uint8Array> {
  let data: Uint8Array;
  try {
    data = (await openpgp.unarmor(text)).data as Uint8Array;
  } catch (cause) {
    throw garbled(place, 'the key block is garbled', cause);
  }
  const checksum = text.split('\n').map((line) => CHECKSUM.exec(line)?.[1]).find((found) => found !== undefined);
  if (checksum !== undefined && Buffer.from(checksum, 'base64').readUIntBE(0, 3) !== crc24(data)) throw garbled(place, 'the key block is garbled: it does not have its checksum');
  return data;
}

function asBlock(packets: Uint8Array, place: string): KeyBlock {
  const tags = tagsOf(packets, place);
  if (tags[0] !== TAG_PUBLIC_KEY && tags[0] !== TAG_SECRET_KEY) throw garbled(place, 'what stands there does not begin with an OpenPGP key');
  return { packets, place, isPrivate: tags.includes(TAG_SECRET_KEY), keyCount: tags.filter((tag) => tag === TAG_PUBLIC_KEY || tag === TAG_SECRET_KEY).length };
}

/** The types of the packets, one after another (RFC 4880, 4.2). */
function tagsOf(packets: Uint8Array, place: string): number[] {
  const tags: number[] = [];
  for (let at = 0; at < packets.length; ) {
    const octet = packets[at]!;
    const header = octet >= 0xc0 ? newHeader(packets, at) : octet >= 0x80 ? oldHeader(packets, at) : null;
    if (header === null) throw garbled(place, 'what stands there is no OpenPGP key, or a garbled one');
    tags.push(octet >= 0xc0 ? octet & 0x3f : (octet >> 2) & 0x0f);
    at += header.headerBytes + header.bytes;
    if (at > packets.length) throw garbled(place, 'the key is cut short');
  }
  return tags;
}

function newHeader(packets: Uint8Array, at: number): { headerBytes: number; bytes: number } | null {
  const octets = [...packets.subarray(at + 1, at + 6)];
  for (let used = 1; used <= octets.length; used += 1) {
    const length = parseLength(octets.slice(0, used));
    if (length) return length.partial ? null : { headerBytes: 1 + used, bytes: length.bytes };
  }
  return null;
}

function oldHeader(packets: Uint8Array, at: number): { headerBytes: number; bytes: number } | null {
  const size = [1, 2, 4][packets[at]! & 3];
  if (size === undefined || at + 1 + size > packets.length) return null;
  return { headerBytes: 1 + size, bytes: Buffer.from(packets.subarray(at + 1, at + 1 + size)).readUIntBE(0, size) };
}

/** RFC 4880, 6.1. */
function crc24(data: Uint8Array): number {
  let crc = 0xb704ce;
  for (const octet of data) {
    crc ^= octet << 16;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x800000 ? ((crc << 1) ^ 0x864cfb) & 0xffffff : crc << 1;
  }
  return crc;
}

function garbled(place: string, why: string, cause?: unknown): DrydockError {
  return new DrydockError('InvalidInput', `${place}: ${why}`, { remedy: REMEDY, ...(cause === undefined ? {} : { cause }) });
}
