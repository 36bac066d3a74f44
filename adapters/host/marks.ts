/**
 * What a command wrote, between two marks: before the first one a login shell, sudo or PAM may print, behind the second one what they say at the end. Only the beginning of
 * a stream and the last bytes of each piece are looked at, so that a large stream costs nothing a byte.
 */
import { Transform, type TransformCallback } from 'node:stream';

/** Stands at the beginning of a mark and nowhere else in it. */
const SIGN = '@';
/** Most bytes that may stand before the first mark. */
const MOST_BEFORE = 1 << 20;
/** Most bytes that may come in one piece with the second mark, behind it; and what is kept of them for words. */
const BEHIND = 16 * 1024;
/** Most bytes that may stand behind the second mark in all. */
const MOST_BEHIND = 1 << 20;
const NOTHING = Buffer.alloc(0);

/** Both marks of a stream. `start` is followed by a space, a word and a line end, `end` by three digits. */
export interface Marks {
  start: string;
  end: string;
}

/** The same text makes them on the far side from the nonce alone, so that a list of processes does not hold them. */
export function marksOf(nonce: string, stream: string): Marks {
  return { start: `${SIGN}drydock-${nonce}-${stream}`, end: `${SIGN}drydock-${nonce}-end` };
}

/** One stream; pieces are taken as they come. */
export class BetweenMarks {
  /** The word behind the first mark, once it was there. */
  word: string | null = null;
  /** The number behind the second mark, once it was there. */
  code: number | null = null;
  /** What stood before the first mark; afterwards what stands behind the second. */
  private before = '';
  private behind = '';
  private behindBytes = 0;
  private held: Buffer = NOTHING;
  private readonly endLength: number;

  constructor(private readonly marks: Marks) {
    this.endLength = marks.end.length + 3;
  }

  /** What was printed by others, for people: the end of what stood before, and what stands behind. */
  get foreign(): string {
    return `${this.before}\n${this.behind}`;
  }

  /** More than may stand around a command: somebody prints without end. */
  get isFlooded(): boolean {
    return (this.word === null && this.before.length > MOST_BEFORE) || this.behindBytes > MOST_BEHIND;
  }

  /** The command's own part of a piece, in one or two pieces. */
  take(piece: Buffer): Buffer[] {
    if (this.word === null) return this.takeBefore(piece);
    if (this.code !== null) {
      this.keepBehind(piece);
      return [];
    }
    if (this.held.length > 0) return this.takeHeld(piece);
    return this.takeOwn(piece);
  }

  /** The stream has ended: what looked like the beginning of the second mark and was none. */
  rest(): Buffer {
    const rest = this.held;
    this.held = NOTHING;
    return rest;
  }

  /** Takes words out that were meant for us before the command ran. */
  takeOut(words: string): boolean {
    if (!this.before.includes(words)) return false;
    this.before = this.before.replace(words, '');
    return true;
  }

  private takeBefore(piece: Buffer): Buffer[] {
    const from = Math.max(0, this.before.length - this.marks.start.length - 100);
    this.before += piece.toString('latin1');
    const at = this.before.indexOf(this.marks.start, from);
    const lineEnd = at < 0 ? -1 : this.before.indexOf('\n', at);
    if (lineEnd < 0) return [];
    this.word = this.before.slice(at + this.marks.start.length, lineEnd).trim();
    const own = this.before.slice(lineEnd + 1);
    this.before = this.before.slice(0, at);
    return own === '' ? [] : this.takeOwn(Buffer.from(own, 'latin1'));
  }

  /** The piece is handed on as it is, so that its memory can go back to where it came from. */
  private takeOwn(piece: Buffer): Buffer[] {
    const { end } = this.marks;
    const from = Math.max(0, piece.length - BEHIND - this.endLength);
    const at = piece.indexOf(end, from, 'latin1');
    const cut = at >= 0 ? at : this.beginOfMark(piece);
    if (cut === piece.length) return [piece];
    this.hold(Buffer.from(piece.subarray(cut)));
    return cut === 0 ? [] : [piece.subarray(0, cut)];
  }

  private takeHeld(piece: Buffer): Buffer[] {
    const wanted = this.endLength - this.held.length;
    const head = Buffer.concat([this.held, piece.subarray(0, wanted)]);
    const known = head.toString('latin1', 0, Math.min(head.length, this.marks.end.length));
    if (this.marks.end.startsWith(known)) {
      this.hold(head.length < this.endLength ? head : Buffer.concat([head, piece.subarray(wanted)]));
      return [];
    }
    const held = this.rest();
    return [held, ...this.takeOwn(piece)];
  }

  /** The beginning of the second mark, or all of it with what stands behind. */
  private hold(bytes: Buffer): void {
    if (bytes.length < this.endLength) {
      this.held = bytes;
      return;
    }
    this.code = Number.parseInt(bytes.toString('latin1', this.marks.end.length, this.endLength), 10);
    this.held = NOTHING;
    this.keepBehind(bytes.subarray(this.endLength));
  }

  private keepBehind(piece: Buffer): void {
    this.behindBytes += piece.length;
    if (this.behind.length < BEHIND) this.behind += piece.toString('latin1', 0, BEHIND);
  }

  /** Where the end of a piece may be the beginning of the second mark. */
  private beginOfMark(piece: Buffer): number {
    const from = Math.max(0, piece.length - this.endLength + 1);
    const inTail = piece.subarray(from).lastIndexOf(SIGN, undefined, 'latin1');
    if (inTail < 0) return piece.length;
    const at = from + inTail;
    const found = piece.toString('latin1', at, Math.min(piece.length, at + this.marks.end.length));
    return this.marks.end.startsWith(found) ? at : piece.length;
  }
}

/** A stream of which the command's own part goes on. */
export class OwnOutput extends Transform {
  constructor(private readonly between: BetweenMarks, private readonly onPiece: () => void) {
    super({ writableObjectMode: true, writableHighWaterMark: 1, readableObjectMode: true, readableHighWaterMark: 2 });
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (const own of this.between.take(piece)) this.push(own);
    this.onPiece();
    done();
  }

  override _flush(done: TransformCallback): void {
    const rest = this.between.rest();
    if (rest.length > 0) this.push(rest);
    done();
  }
}
