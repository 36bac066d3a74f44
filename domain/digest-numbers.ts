/**
 * Numbers 0, 1, 2, ... for digests. Those of SHA-256 take 40 octets each instead of the some 150 of a map of strings: for a million and more. Digests of other algorithms, which
 * stand with their algorithm in front (see digest.ts), are few, and are kept as they are.
 */
import { NONE } from './column';
import { HASH_SEED } from './hash-seed';
import { HEX_LENGTH, HEX_VALUES } from './sha256';

const WORDS = 8;
/** Looked up for each letter: a name of this module costs less than one of another. */
const VALUES = HEX_VALUES;
const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

export class DigestNumbers {
  private words = new Uint32Array(1024 * WORDS);
  /** Open addressing: a digest's number plus 1, 0 where the place is free. Twice as many places as digests, at least. */
  private places = new Uint32Array(2048);
  private readonly wanted = new Uint32Array(WORDS);
  private readonly letters = new Uint8Array(HEX_LENGTH);
  private readonly decoder = new TextDecoder();
  private readonly others = new Map<string, number>();
  private readonly otherTexts = new Map<number, string>();
  count = 0;

  /** Undefined when it was never added. */
  find(digest: string): number | undefined {
    if (!this.take(digest)) return this.others.get(digest);
    const number = this.places[this.place()]!;
    return number === 0 ? undefined : number - 1;
  }

  /** The digest's number; a new one for a digest that was not there. */
  add(digest: string): number {
    return this.take(digest) ? this.addWanted() : this.addOther(digest);
  }

  /** Whether the number is that of a digest of another algorithm than SHA-256. */
  isOther(number: number): boolean {
    return this.otherTexts.size > 0 && this.otherTexts.has(number);
  }

  /** As `add`, of the hex digits that begin at `at`; NONE when they are not lower-case hex digits. */
  addOctets(octets: Uint8Array, at: number): number {
    if (at + HEX_LENGTH > octets.length) return NONE;
    let all = 0;
    for (let word = 0; word < WORDS; word += 1) {
      let value = 0;
      for (let next = at + 8 * word, end = next + 8; next < end; next += 1) {
        const digit = VALUES[octets[next]!]!;
        all |= digit;
        value = (value << 4) | digit;
      }
      this.wanted[word] = value;
    }
    return all < 0 ? NONE : this.addWanted();
  }

  /** Takes a number and no place: nothing that is looked up by its hexadecimal digits can fall on it. */
  private addOther(digest: string): number {
    const known = this.others.get(digest);
    if (known !== undefined) return known;
    if ((this.count + 1) * WORDS > this.words.length) this.words = grown(this.words);
    this.count += 1;
    this.others.set(digest, this.count - 1);
    this.otherTexts.set(this.count - 1, digest);
    return this.count - 1;
  }

  private addWanted(): number {
    const place = this.place();
    const known = this.places[place]!;
    if (known !== 0) return known - 1;
    if ((this.count + 1) * WORDS > this.words.length) this.words = grown(this.words);
    this.words.set(this.wanted, this.count * WORDS);
    this.count += 1;
    this.places[place] = this.count;
    if (this.count * 2 > this.places.length) this.spread();
    return this.count - 1;
  }

  /** The digest with this number: bare hex, or with its algorithm in front where that is another one. */
  digest(number: number): string {
    const other = this.otherTexts.size === 0 ? undefined : this.otherTexts.get(number);
    if (other !== undefined) return other;
    for (let at = 0; at < HEX_LENGTH; at += 1) this.letters[at] = DIGITS[(this.words[number * WORDS + (at >>> 3)]! >>> (28 - 4 * (at & 7))) & 0xf]!;
    return this.decoder.decode(this.letters);
  }

  /** Puts a digest of SHA-256 into `wanted`. False for anything else. */
  private take(digest: string): boolean {
    if (digest.length !== HEX_LENGTH) return false;
    let all = 0;
    for (let at = 0, word = 0; at < HEX_LENGTH; word += 1) {
      let value = 0;
      for (const end = at + 8; at < end; at += 1) {
        const digit = VALUES[digest.charCodeAt(at)]!;
        all |= digit;
        value = (value << 4) | digit;
      }
      this.wanted[word] = value;
    }
    return all >= 0;
  }

  /** Where the digest in `wanted` stands, or where it would. */
  private place(): number {
    const mask = this.places.length - 1;
    let place = hashAt(this.wanted, 0) & mask;
    while (this.places[place] !== 0 && !this.isAt(this.places[place]! - 1)) place = (place + 1) & mask;
    return place;
  }

  private isAt(number: number): boolean {
    for (let word = 0; word < WORDS; word += 1) if (this.words[number * WORDS + word] !== this.wanted[word]) return false;
    return true;
  }

  private spread(): void {
    this.places = new Uint32Array(this.places.length * 2);
    const mask = this.places.length - 1;
    for (let number = 0; number < this.count; number += 1) {
      if (this.isOther(number)) continue;
      let place = hashAt(this.words, number * WORDS) & mask;
      while (this.places[place] !== 0) place = (place + 1) & mask;
      this.places[place] = number + 1;
    }
  }
}

function hashAt(words: Uint32Array, at: number): number {
  let hash = HASH_SEED;
  for (let word = at; word < at + WORDS; word += 1) {
    hash = Math.imul(hash ^ words[word]!, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}

function grown(words: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.ceil(words.length / WORDS * 1.5) * WORDS);
  larger.set(words);
  return larger;
}
