/** A segment's index as numbers, for a million blobs: nothing of it counts before it is known that the index is sound to its end and that its segment may be used. */
import { Column, NONE, SizeColumn } from '../../domain/column';
import type { CopyList } from '../../domain/copy-list';
import { IndexLine } from '../../domain/index-line';
import type { RefsMark } from '../../domain/manifest-refs';
import type { SegmentHeader } from '../../domain/vault-format';
import type { IndexSource } from './indexes-ahead';
import { parseIndexLine, scanLines } from './segment-index';

const NEWLINE = 0x0a;

export class NumberedIndex {
  /** Of copies that are not void. */
  count = 0;
  bytes = 0;
  readonly voidPaths: string[] = [];
  private readonly blobs = new Column();
  private readonly digests = new Column();
  private readonly sizes = new SizeColumn();
  /** Of each copy, where its references stand. */
  private readonly refs = new Column();

  private found: SegmentHeader | undefined;
  private readonly before: RefsMark;

  private constructor(private readonly copies: CopyList) {
    this.before = copies.refs.mark();
  }

  /** Reads an index with the numbers of `copies`; one at a time. Throws NotFound or IntegrityMismatch. */
  static async read(source: IndexSource, cluster: string, segment: string, copies: CopyList): Promise<NumberedIndex> {
    const index = new NumberedIndex(copies);
    try {
      await index.readLines(source, cluster, segment);
      return index;
    } catch (error) {
      index.discard();
      throw error;
    }
  }

  get header(): SegmentHeader {
    return this.found!;
  }

  /** Frees the memory of references that nobody will use. Only while no other index was read after this one. */
  discard(): void {
    this.copies.refs.rewind(this.before);
  }

  /** Whether a copy is among those that are asked for, by numbers. */
  some(isWanted: (blob: number, digest: number) => boolean): boolean {
    for (let at = 0; at < this.count; at += 1) if (isWanted(this.blobs.get(at), this.digests.get(at))) return true;
    return false;
  }

  /** Puts all copies into the list. */
  store(): void {
    for (let at = 0; at < this.count; at += 1) {
      const digest = this.digests.get(at);
      this.copies.put(this.blobs.get(at), digest, this.sizes.get(at), this.header.segment);
      const refs = this.refs.get(at);
      if (refs !== NONE) this.copies.refs.assign(digest, refs);
    }
  }

  private async readLines(source: IndexSource, cluster: string, segment: string): Promise<void> {
    const { copies } = this;
    const line = new IndexLine(copies.numbers, copies.refs);
    this.found = await scanLines(source, cluster, segment, (block, name, first) => {
      let lines = 0;
      for (let start = 0; start <= block.length; lines += 1) {
        const newline = block.indexOf(NEWLINE, start);
        const end = newline < 0 ? block.length : newline;
        if (line.read(block, start, end)) this.add(line.blob, line.digest, line.size, line.refsAt);
        else this.parse(block.toString('utf8', start, end), name, first + lines);
        start = end + 1;
      }
      return lines;
    });
    for (const column of [this.blobs, this.digests, this.sizes, this.refs]) column.trim(this.count);
  }

  /** A line in another form than we write. */
  private parse(line: string, name: string, at: number): void {
    const { path, size, sha256, refs, void: isVoid } = parseIndexLine(line, name, at);
    if (isVoid) {
      this.voidPaths.push(path);
      return;
    }
    const { blobs, digests } = this.copies.numbers;
    this.add(blobs.add(path), digests.add(sha256), size, refs === undefined ? NONE : this.copies.refs.put(this.copies.refs.entryOf(refs)));
  }

  private add(blob: number, digest: number, size: number, refs: number): void {
    const at = this.count;
    this.blobs.set(at, blob);
    this.digests.set(at, digest);
    this.sizes.set(at, size);
    if (refs !== NONE) this.refs.set(at, refs);
    this.count += 1;
    this.bytes += size;
  }
}
