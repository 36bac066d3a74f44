/**
 * Lines of a segment's index in the very form in which Drydock writes them (docs/vault-format.md), read from their octets: of a million lines no text is made. Any
 * other line is for `parseIndexLine`; what is taken here, that takes as well, and sees the same in it.
 */
import { NONE } from './column';
import type { ContentNumbers } from './content-numbers';
import { BLOBS_ROOT } from './layout';
import { canHaveSizes, type RefsByDigest, type RefsEntry } from './manifest-refs';
import { HEX_LENGTH } from './sha256';

const PATH = octetsOf(`{"path":"${BLOBS_ROOT}/`);
const BY_DIGEST = octetsOf('sha256/');
const BY_ID = octetsOf('id/');
const SIZE = octetsOf('/data","size":');
const SHA256 = octetsOf(',"sha256":"');
const OFFSET = octetsOf('","offset":');
const REFS = octetsOf(',"refs":{"mediaType":"');
const [QUOTE, COMMA, SLASH, ZERO, CLOSING, END] = Array.from('",/0]}', (letter) => letter.charCodeAt(0)) as [number, number, number, number, number, number];
const NEXT_KEY = octetsOf(',"');
const DIGEST_KEYS = (['config', 'subject'] as const).map((key) => ({ key, octets: octetsOf(`${key}":"`) }));
const LIST_KEYS = (['layers', 'foreign', 'manifests'] as const).map((key) => ({ key, octets: octetsOf(`${key}":[`) }));
const SIZES = octetsOf('sizes":[');
/** Letters of ids, and of media types, that stand in JSON as they are. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, code) => (/[0-9A-Za-z_+.-]/.test(String.fromCharCode(code)) ? 1 : 0));
const DOT = '.'.charCodeAt(0);
/** More could be above what a number holds exactly. */
const MOST_DIGITS = 15;

export class IndexLine {
  /** Of the line that was read last. */
  blob = NONE;
  digest = NONE;
  size = 0;
  /** Where its references stand among `refs`, for `assign`; NONE when it has none. */
  refsAt = NONE;
  private octets: Uint8Array = new Uint8Array(0);
  private at = 0;
  /** Where the digest in the blob's name begins. */
  private nameAt = 0;

  constructor(
    private readonly numbers: ContentNumbers,
    private readonly refs: RefsByDigest,
  ) {}

  /** Reads one line without its end. False for a line of another form, which may leave numbers that nobody uses. */
  read(octets: Uint8Array, start: number, end: number): boolean {
    this.octets = octets;
    this.at = start;
    this.blob = this.skip(PATH) ? this.readName() : NONE;
    if (this.blob === NONE || !this.skip(SIZE)) return false;
    this.size = this.readNumber();
    if (this.size === NONE || !this.skip(SHA256)) return false;
    this.digest = this.readSha256();
    if (this.digest === NONE || !this.skip(OFFSET) || this.readNumber() === NONE) return false;
    const entry = this.skip(REFS) ? this.readRefs() : null;
    if (entry === undefined || !this.skipOctet(END) || this.at !== end) return false;
    this.refsAt = entry === null ? NONE : this.refs.put(entry);
    return true;
  }

  /** `<layout>/<two letters>/<name>`: the blob's number. */
  private readName(): number {
    if (this.skip(BY_DIGEST)) {
      if (!this.skipTwoLetters()) return NONE;
      this.nameAt = this.at;
      const digest = this.readDigest();
      return digest === NONE ? NONE : this.numbers.blobs.named(digest);
    }
    if (!this.skip(BY_ID) || !this.skipTwoLetters()) return NONE;
    const start = this.at;
    this.skipPlain();
    const isId = this.at - start >= 2 && this.octets[start] !== DOT;
    return isId ? this.numbers.blobs.addId(this.octets, start, this.at) : NONE;
  }

  /** The first two letters of the name that follows them. */
  private skipTwoLetters(): boolean {
    const { octets, at } = this;
    if (octets[at + 2] !== SLASH || octets[at] !== octets[at + 3] || octets[at + 1] !== octets[at + 4]) return false;
    this.at += 3;
    return true;
  }

  /** Behind `REFS`, up to the end of the references; undefined when they are of another form. */
  private readRefs(): RefsEntry | undefined {
    const start = this.at;
    do this.skipPlain(); while (this.skipOctet(SLASH));
    const mediaType = this.refs.mediaType(this.octets, start, this.at);
    if (!this.skipOctet(QUOTE)) return undefined;
    const entry: RefsEntry = { mediaType, config: NONE, subject: NONE, sizes: null, layers: null, foreign: null, manifests: null, unreadable: 0 };
    while (this.skip(NEXT_KEY)) if (!this.readRef(entry)) return undefined;
    return this.skipOctet(END) && canHaveSizes(entry) ? entry : undefined;
  }

  /** One key and its value; each key once. */
  private readRef(entry: RefsEntry): boolean {
    for (const { key, octets } of DIGEST_KEYS) {
      if (!this.skip(octets)) continue;
      if (entry[key] !== NONE) return false;
      entry[key] = this.readDigest();
      return entry[key] !== NONE && this.skipOctet(QUOTE);
    }
    for (const { key, octets } of LIST_KEYS) {
      if (!this.skip(octets)) continue;
      if (entry[key]) return false;
      entry[key] = this.readList(() => (this.skipOctet(QUOTE) ? this.readDigestAndQuote() : NONE));
      return entry[key] !== null;
    }
    if (!this.skip(SIZES) || entry.sizes) return false;
    entry.sizes = this.readList(() => this.readNumber());
    return entry.sizes !== null;
  }

  /** Behind its opening bracket; null when an element is not of the form. */
  private readList(readElement: () => number): number[] | null {
    const elements: number[] = [];
    if (this.skipOctet(CLOSING)) return elements;
    do {
      const element = readElement();
      if (element === NONE) return null;
      elements.push(element);
    } while (this.skipOctet(COMMA));
    return this.skipOctet(CLOSING) ? elements : null;
  }

  private readDigestAndQuote(): number {
    const digest = this.readDigest();
    return this.skipOctet(QUOTE) ? digest : NONE;
  }

  /** Of most blobs by digest it stands in the name already: comparing costs a third of looking it up once more. */
  private readSha256(): number {
    const named = this.numbers.blobs.digestInName(this.blob);
    if (named === undefined) return this.readDigest();
    for (let at = 0; at < HEX_LENGTH; at += 1) if (this.octets[this.at + at] !== this.octets[this.nameAt + at]) return this.readDigest();
    this.at += HEX_LENGTH;
    return named;
  }

  private readDigest(): number {
    const digest = this.numbers.digests.addOctets(this.octets, this.at);
    this.at += HEX_LENGTH;
    return digest;
  }

  /** A whole number as JSON writes it: no sign, no zero in front. */
  private readNumber(): number {
    const start = this.at;
    let value = 0;
    for (let digit = this.octets[this.at]! - ZERO; digit >= 0 && digit <= 9; digit = this.octets[this.at]! - ZERO) {
      value = value * 10 + digit;
      this.at += 1;
    }
    const digits = this.at - start;
    return digits === 0 || digits > MOST_DIGITS || (digits > 1 && this.octets[start] === ZERO) ? NONE : value;
  }

  private skipPlain(): void {
    while (PLAIN[this.octets[this.at]!] === 1) this.at += 1;
  }

  private skip(wanted: Uint8Array): boolean {
    for (let at = 0; at < wanted.length; at += 1) if (this.octets[this.at + at] !== wanted[at]) return false;
    this.at += wanted.length;
    return true;
  }

  private skipOctet(wanted: number): boolean {
    if (this.octets[this.at] !== wanted) return false;
    this.at += 1;
    return true;
  }
}

function octetsOf(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
