/** One 32-bit whole number for each of a million things that are numbered 0, 1, 2, ...; `NONE` for those that never got one. */

export const NONE = -1;

export class Column {
  /** Each value plus 1, so that what was never set is 0. */
  private values = new Int32Array(1024);

  get(at: number): number {
    return at < this.values.length ? this.values[at]! - 1 : NONE;
  }

  set(at: number, value: number): void {
    if (at >= this.values.length) this.grow(at);
    this.values[at] = value + 1;
  }

  /** Gives back the memory behind the first `length` values. */
  trim(length: number): void {
    this.values = this.values.slice(0, length);
  }

  private grow(at: number): void {
    const larger = new Int32Array(Math.max(at + 1, Math.ceil(this.values.length * 1.5)));
    larger.set(this.values);
    this.values = larger;
  }
}

/** As `Column`, for sizes in bytes, which may need more than 32 bits; 0 for those that never got one. */
export class SizeColumn {
  private values = new Float64Array(512);

  get(at: number): number {
    return at < this.values.length ? this.values[at]! : 0;
  }

  set(at: number, value: number): void {
    if (at >= this.values.length) {
      const larger = new Float64Array(Math.max(at + 1, Math.ceil(this.values.length * 1.5)));
      larger.set(this.values);
      this.values = larger;
    }
    this.values[at] = value;
  }

  /** Gives back the memory behind the first `length` values. */
  trim(length: number): void {
    this.values = this.values.slice(0, length);
  }
}
