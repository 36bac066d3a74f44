/** Numbers 0, 1, 2, ... for SHA-256 digests, in 40 octets each instead of the some 150 of a map of strings: for a million and more. */

const WORDS = 8;

export class DigestNumbers {
  private words = new Uint32Array(1024 * WORDS);
  /** Open addressing: a digest's number plus 1, 0 where the place is free. Twice as many places as digests, at least. */
  private places = new Uint32Array(2048);
  private readonly wanted = new Uint32Array(WORDS);
  count = 0;

  /** Undefined when it was never added. `sha256` is bare hex. */
  find(sha256: string): number | undefined {
    const number = this.places[this.placeOf(sha256)]!;
    return number === 0 ? undefined : number - 1;
  }

  /** The digest's number; a new one for a digest that was not there. */
  add(sha256: string): number {
    const place = this.placeOf(sha256);
    const known = this.places[place]!;
    if (known !== 0) return known - 1;
    if ((this.count + 1) * WORDS > this.words.length) this.words = grown(this.words);
    this.words.set(this.wanted, this.count * WORDS);
    this.count += 1;
    this.places[place] = this.count;
    if (this.count * 2 > this.places.length) this.spread();
    return this.count - 1;
  }

  /** Where the digest stands, or where it would. Leaves its words in `wanted`. */
  private placeOf(sha256: string): number {
    for (let word = 0; word < WORDS; word += 1) this.wanted[word] = Number.parseInt(sha256.slice(word * 8, word * 8 + 8), 16);
    const mask = this.places.length - 1;
    let place = this.wanted[0]! & mask;
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
      let place = this.words[number * WORDS]! & mask;
      while (this.places[place] !== 0) place = (place + 1) & mask;
      this.places[place] = number + 1;
    }
  }
}

function grown(words: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(words.length * 2);
  larger.set(words);
  return larger;
}
