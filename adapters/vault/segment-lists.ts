/** The ids of the segments that many backups need. Backups of one registry name much the same segments, so each id is kept once, and each list is read once. */
import { DrydockError } from '../../domain/errors';
import { segmentId } from '../../domain/manifest-segments';
import type { ContentCache } from './content-cache';
import { readSegmentList } from './segment-list';
import type { Vault } from './vault';

/** As a manifest records a list. */
export interface ListRef {
  name: string;
  bytes: number;
  sha256: string;
}

const NEWLINE = 0x0a;
const BEGIN = Buffer.from('{"segment":"');
const QUOTE = 0x22;

/** `cache`: where the ids of lists are kept for later processes. */
export class SegmentLists {
  private readonly ids = new Map<string, string>();
  private readonly lists = new Map<string, readonly string[]>();

  constructor(private readonly cache?: ContentCache) {}

  /** Of one backup. Throws as `segmentsOf` does. */
  async of(vault: Vault, ref: ListRef, signal?: AbortSignal): Promise<readonly string[]> {
    // A list with the same digest has the same bytes, whichever vault it stands in.
    const known = this.lists.get(ref.sha256);
    if (known) return known;
    const kept = await this.cache?.readDerived(ref.sha256);
    const list = kept ? kept.toString('latin1').split(' ').filter((id) => id !== '').map((id) => this.shared(id)) : this.parse(await readSegmentList(vault, ref, signal), ref.name);
    if (!kept) await this.cache?.writeDerived(ref.sha256, Buffer.from(list.join(' '), 'latin1'));
    this.lists.set(ref.sha256, list);
    return list;
  }

  private parse(content: Buffer, name: string): string[] {
    const found: string[] = [];
    for (let at = 0; at < content.length; ) {
      const end = content.indexOf(NEWLINE, at);
      const id = end < 0 ? null : idOf(content.subarray(at, end));
      if (id === null) throw new DrydockError('IntegrityMismatch', `the list of segments ${name} has a line of an unknown form`, { remedy: 'use the version of Drydock that made it, or put it back from a second copy of the vault' });
      found.push(this.shared(id));
      at = end + 1;
    }
    return found;
  }

  private shared(id: string): string {
    const known = this.ids.get(id);
    if (known !== undefined) return known;
    this.ids.set(id, id);
    return id;
  }
}

/** Every line begins with the id; the rest of it is not looked at. */
function idOf(line: Buffer): string | null {
  if (!line.subarray(0, BEGIN.length).equals(BEGIN)) return null;
  const end = line.indexOf(QUOTE, BEGIN.length);
  const id = line.toString('latin1', BEGIN.length, end < 0 ? line.length : end);
  return segmentId.safeParse(id).success ? id : null;
}
