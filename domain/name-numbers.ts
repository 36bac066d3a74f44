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
  private readonly wide = new Map<string, number>();
  private readonly wideTexts = new Map<number, string>();
  count = 0;

  find(text: string): number | undefined {
    const hash = hashOf(text);
    if (hash === null) return this.wide.get(text);
    const number = this.places[this.placeOf(text, hash)]!;
    return number === 0 ? undefined : number - 1;
  }

  /** The text's number; a new one for a text that was not there. */
  add(text: string): number {
    const hash = hashOf(text);
    if (hash === null) return this.addWide(text);
    const place = this.placeOf(text, hash);
    const known = this.places[place]!;
    if (known !== 0) return known - 1;
    this.append(text);
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
    this.append('');
    this.wide.set(text, this.count - 1);
    this.wideTexts.set(this.count - 1, text);
    return this.count - 1;
  }

  private append(text: string): void {
    const start = this.starts[this.count]!;
    if (start + text.length > this.octets.length) this.octets = copied(this.octets, new Uint8Array(Math.max(start + text.length, Math.ceil(this.octets.length * 1.5))));
    if (this.count + 2 > this.starts.length) this.starts = copied(this.starts, new Uint32Array(Math.ceil(this.starts.length * 1.5)));
    for (let at = 0; at < text.length; at += 1) this.octets[start + at] = text.charCodeAt(at);
    this.count += 1;
    this.starts[this.count] = start + text.length;
  }

  private placeOf(text: string, hash: number): number {
    const mask = this.places.length - 1;
    let place = hash & mask;
    while (this.places[place] !== 0 && !this.isAt(this.places[place]! - 1, text)) place = (place + 1) & mask;
    return place;
  }

  private isAt(number: number, text: string): boolean {
    const start = this.starts[number]!;
    if (this.starts[number + 1]! - start !== text.length || (text === '' && this.wideTexts.has(number))) return false;
    for (let at = 0; at < text.length; at += 1) if (this.octets[start + at] !== text.charCodeAt(at)) return false;
    return true;
  }

  private spread(): void {
    this.places = new Uint32Array(this.places.length * 2);
    const mask = this.places.length - 1;
    for (let number = 0; number < this.count; number += 1) {
      if (this.wideTexts.has(number)) continue;
      let place = hashOfOctets(this.octets, this.starts[number]!, this.starts[number + 1]!) & mask;
      while (this.places[place] !== 0) place = (place + 1) & mask;
      this.places[place] = number + 1;
    }
  }
}

/** Null for a text that does not fit into octets. */
function hashOf(text: string): number | null {
  let hash = HASH_SEED;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > LAST_OCTET) return null;
    hash = mixed(hash, code);
  }
  return hash ^ (hash >>> 15);
}

function hashOfOctets(octets: Uint8Array, start: number, end: number): number {
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
