/** What comes out of one segment: ciphertext in, proven blobs out. Without waiting, so that a thread of its own can do it. */
import { createHash, type Hash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import type { StoredBlob } from '../../domain/vault-format';
import { TarParser } from '../archive/tar-parser';
import type { TarMember } from '../archive/tar-header';
import { CfbStream } from '../openpgp/cfb';
import { BodyDecryptor } from '../openpgp/body-decryptor';
import type { OpenedMessage } from '../openpgp/session-key';

/** A blob that is wanted, at its place in the plain tar. */
export type Place = Pick<StoredBlob, 'path' | 'size' | 'sha256' | 'offset'>;

/** Is told what comes, in the order of the tar; a place is named by its number among those that were asked for. */
export interface Opened {
  begin(place: number): void;
  /** The memory may be used again when the call has returned. */
  data(bytes: Buffer): void;
  /** The blob has ended; `fault` says why it is not what is recorded, if it is not. */
  end(place: number, fault: string | null): void;
}

export function notHeld(segment: string, path: string, why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `segment ${segment} does not hold ${path}: ${why}`, { remedy: 'put the segment back from a second copy of the vault, or use another backup' });
}

/** Call `write` with the segment's bytes from the first on, then `end`. Both throw IntegrityMismatch when the message or the tar is damaged. */
export class SegmentOpener {
  private readonly decryptor: BodyDecryptor;
  private readonly tar: TarParser;
  /** By offset, the number of the place. */
  private readonly open = new Map<number, number>();
  /** Places at an offset that another has already: a forged index; two members cannot begin there. */
  private readonly shadowed: number[] = [];
  private current: { place: number; hash: Hash; isMember: boolean } | null = null;
  private skip: number;

  constructor(
    message: OpenedMessage,
    private readonly places: readonly Place[],
    private readonly opened: Opened,
  ) {
    this.skip = message.bodyStart;
    for (const [place, { offset }] of places.entries()) {
      if (this.open.has(offset)) this.shadowed.push(place);
      else this.open.set(offset, place);
    }
    this.tar = new TarParser({
      member: (member, offset) => this.startMember(member, offset),
      data: (bytes) => this.takeData(bytes),
      memberEnd: () => this.endMember(),
    });
    // All that is handed on is used up at once.
    const window = Buffer.allocUnsafeSlow(CfbStream.WINDOW_BYTES);
    this.decryptor = new BodyDecryptor(message.sessionKey, (plain) => this.tar.write(plain), () => window);
  }

  write(ciphertext: Buffer): void {
    const skipped = Math.min(this.skip, ciphertext.length);
    this.skip -= skipped;
    if (skipped < ciphertext.length) this.decryptor.write(ciphertext.subarray(skipped));
  }

  /** Returns the places at which no member began. */
  end(): number[] {
    this.decryptor.end();
    this.tar.end();
    return [...this.open.values()].concat(this.shadowed);
  }

  private startMember(member: TarMember, offset: number): void {
    const place = this.open.get(offset);
    if (place === undefined) return;
    this.open.delete(offset);
    const { path, size } = this.places[place]!;
    this.current = { place, hash: createHash('sha256'), isMember: member.type === 'file' && member.name === path && member.size === size };
    this.opened.begin(place);
  }

  private takeData(bytes: Buffer): void {
    if (!this.current) return;
    this.current.hash.update(bytes);
    this.opened.data(bytes);
  }

  private endMember(): void {
    if (!this.current) return;
    const { place, hash, isMember } = this.current;
    this.current = null;
    const isRight = hash.digest('hex') === this.places[place]!.sha256;
    this.opened.end(place, !isMember ? 'another member stands in its place' : isRight ? null : 'its bytes do not have the recorded SHA-256');
  }
}
