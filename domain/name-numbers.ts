/** Numbers 0, 1, 2, ... for short texts such as ids, at one octet a letter and some twelve more: for a million and more. */
import { HASH_SEED } from './hash-seed';

/** Texts with letters beyond ASCII are few, and are kept as they are. */
const LAST_OCTET = 0x7f;

export class NameNumbers {
  private octets = new Uint8Array(16 * 1024);
  /** Where each text begins; it ends where the next one begins. */
  private starts = new Uint32Array(1025);
  /** Open addressing, as in `DigestNumbers`. */
  private places = new Uint32Array(2048);
  private readonly decoder = new TextDecoder();
  /** The text that is asked about. */
  private letters = new Uint8Array(256);
  private readonly wide = new Map<string, number>();
  private readonly wideTexts = new Map<number, string>();
  count = 0;

  find(text: string): number | undefined {
    if (!this.take(text)) return this.wide.get(text);
    const number = this.places[this.placeOf(this.letters, 0, text.length)]!;
    return number === 0 ? undefined : number - 1;
  }

  /** The text's number; a new one for a text that was not there. */
  add(text: string): number {
    return this.take(text) ? this.addOctets(this.letters, 0, text.length) : this.addWide(text);
  }

  /** As `add`, of a text that stands in octets, all of them ASCII. */
  addOctets(octets: Uint8Array, start: number, end: number): number {
    const place = this.placeOf(octets, start, end);
    const known = this.places[place]!;
    if (known !== 0) return known - 1;
    this.append(octets, start, end);
    this.places[place] = this.count;
    if (this.count * 2 > this.places.length) this.spread();
    return this.count - 1;
  }

  text(number: number): string {
    const wide = this.wideTexts.get(number);
    if (wide !== undefined) return wide;
    return this.decoder.decode(this.octets.subarray(this.starts[number], this.starts[number + 1]));
  }

  private addWide(text: string): number {
    const known = this.wide.get(text);
    if (known !== undefined) return known;
    this.append(this.letters, 0, 0);
    this.wide.set(text, this.count - 1);
    this.wideTexts.set(this.count - 1, text);
    return this.count - 1;
  }

  /** Puts the text into `letters`. False when it does not fit into octets. */
  private take(text: string): boolean {
    if (text.length > this.letters.length) this.letters = new Uint8Array(2 * text.length);
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code > LAST_OCTET) return false;
      this.letters[at] = code;
    }
    return true;
  }

  private append(octets: Uint8Array, from: number, to: number): void {
    const start = this.starts[this.count]!;
    const end = start + to - from;
    if (end > this.octets.length) this.octets = copied(this.octets, new Uint8Array(Math.max(end, Math.ceil(this.octets.length * 1.5))));
    if (this.count + 2 > this.starts.length) this.starts = copied(this.starts, new Uint32Array(Math.ceil(this.starts.length * 1.5)));
    for (let at = from; at < to; at += 1) this.octets[start + at - from] = octets[at]!;
    this.count += 1;
    this.starts[this.count] = end;
  }

  private placeOf(octets: Uint8Array, start: number, end: number): number {
    const mask = this.places.length - 1;
    let place = hashOf(octets, start, end) & mask;
    while (this.places[place] !== 0 && !this.isAt(this.places[place]! - 1, octets, start, end)) place = (place + 1) & mask;
    return place;
  }

  private isAt(number: number, octets: Uint8Array, start: number, end: number): boolean {
    const own = this.starts[number]!;
    if (this.starts[number + 1]! - own !== end - start || (start === end && this.wideTexts.has(number))) return false;
    for (let at = start; at < end; at += 1) if (this.octets[own + at - start] !== octets[at]) return false;
    return true;
  }

  private spread(): void {
    this.places = new Uint32Array(this.places.length * 2);
    const mask = this.places.length - 1;
    for (let number = 0; number < this.count; number += 1) {
      if (this.wideTexts.has(number)) continue;
      let place = hashOf(this.octets, this.starts[number]!, this.starts[number + 1]!) & mask;
      while (this.places[place] !== 0) place = (place + 1) & mask;
      this.places[place] = number + 1;
    }
  }
}

function hashOf(octets: Uint8Array, start: number, end: number): number {
  let hash = HASH_SEED;
  for (let at = start; at < end; at += 1) hash = mixed(hash, octets[at]!);
  return hash ^ (hash >>> 15);
}

function mixed(hash: number, octet: number): number {
  const next = Math.imul(hash ^ octet, 0x9e3779b1);
  return next ^ (next >>> 13);
}

function copied<T extends Uint8Array | Uint32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
