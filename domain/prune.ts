/**
 * What may be marked and what may be removed, in two phases by time. A mark changes nothing but that no new backup builds on what is marked;
 * what is removed was marked longer ago than the hold and is still needed by nothing. Pure: the picture goes in, the plan comes out.
 */
import { before, type Duration } from './duration';
import type { Decision } from './retention';

/** What stands in one cluster's part of a vault, by the vault's own times. */
export interface VaultPicture {
  now: Date;
  sealed: SealedBackup[];
  /** Sealed, but the manifest cannot be read: nobody knows which segments they need. */
  unreadable: string[];
  /** Folders without a manifest: being written, or left by a dead operation. */
  unsealed: { id: string; newest: Date }[];
  segments: SegmentFiles[];
  marks: Mark[];
}
export interface SealedBackup {
  id: string;
  segments: readonly string[];
}
export interface SegmentFiles {
  id: string;
  /** Of all its files. */
  bytes: number;
  /** The youngest of its files. */
  newest: Date;
  /** Index and tar are both there. */
  isWhole: boolean;
}
/** A tombstone. */
export interface Mark {
  /** In the vault. */
  name: string;
  id: string;
  since: Date;
  /** By `drydock forget`. */
  isForgotten: boolean;
}

export interface RemovalPlan {
  backups: string[];
  segments: SegmentFiles[];
  /** Tombstones whose hold is over, of what goes, by its id. */
  due: ReadonlyMap<string, string[]>;
  /** Tombstones of what is kept or needed again. */
  lift: string[];
  /** Tombstones of what is gone; their backups' verdicts go first. */
  leftovers: { name: string; id: string }[];
  notes: string[];
}
export interface MarkPlan {
  backups: { id: string; why: string }[];
  segments: { id: string; why: string; bytes: number }[];
  notes: string[];
}

const MARGIN_MS = 1000;
/** In one sentence. */
const SHOWN_UNREADABLE = 20;

/** Phase two. */
export function planRemoval(picture: VaultPicture, decisions: readonly Decision[], hold: Duration): RemovalPlan {
  const deadline = before(picture.now, hold);
  const marks = marksById(picture.marks);
  const over = (id: string): string[] => (marks.get(id) ?? []).filter(({ since }) => since <= deadline).map(({ name }) => name);
  const isOver = (id: string): boolean => over(id).length > 0;
  const givenUp = new Set(decisions.filter(({ keep }) => !keep).map(({ id }) => id));
  const needed = neededSegments(picture);
  const notes = unreadableNote(picture);
  const known = new Set([...picture.sealed.map(({ id }) => id), ...picture.unreadable, ...picture.unsealed.map(({ id }) => id), ...picture.segments.map(({ id }) => id)]);
  const kept = new Set(decisions.filter(({ keep }) => keep).map(({ id }) => id));
  const unsealed = new Set(picture.unsealed.map(({ id }) => id));
  // Nobody can judge a manifest that cannot be read, but a person may give it up.
  const forgotten = new Set(picture.marks.filter(({ isForgotten }) => isForgotten).map(({ id }) => id));
  const backups = [...[...picture.sealed, ...picture.unsealed].map(({ id }) => id).filter((id) => isOver(id) && (givenUp.has(id) || unsealed.has(id))), ...picture.unreadable.filter((id) => isOver(id) && forgotten.has(id))];
  const segments = notes.length > 0 ? [] : picture.segments.filter(({ id }) => isOver(id) && !needed.has(id));
  return {
    backups,
    segments,
    due: new Map([...backups, ...segments.map(({ id }) => id)].map((id) => [id, over(id)])),
    lift: picture.marks.filter(({ id, isForgotten }) => !isForgotten && (needed.has(id) || kept.has(id))).map(({ name }) => name),
    leftovers: picture.marks.filter(({ id }) => !known.has(id)).map(({ name, id }) => ({ name, id })),
    notes,
  };
}

/** Phase one. */
export function planMarks(picture: VaultPicture, decisions: readonly Decision[], hold: Duration): MarkPlan {
  const deadline = new Date(before(picture.now, hold).getTime() - MARGIN_MS);
  const marks = marksById(picture.marks);
  const needed = neededSegments(picture);
  const notes = unreadableNote(picture);
  const backups = decisions.filter(({ id, keep }) => !keep && !marks.has(id)).map(({ id, why }) => ({ id, why }));
  for (const { id, newest } of picture.unsealed) {
    if (newest <= deadline && !marks.has(id)) backups.push({ id, why: 'Given up: it was never sealed, and its operation is long over.' });
  }
  const dead = picture.segments.filter(({ id, newest }) => !needed.has(id) && newest <= deadline && !marks.has(id));
  return { backups, segments: notes.length > 0 ? [] : dead.map((segment) => ({ id: segment.id, bytes: segment.bytes, why: whyDead(segment) })), notes };
}

function whyDead({ isWhole }: SegmentFiles): string {
  return isWhole ? 'Given up: no sealed backup names it.' : 'Given up: it was never finished, and its operation is long over.';
}

function neededSegments({ sealed }: VaultPicture): Set<string> {
  const needed = new Set<string>();
  for (const { segments } of sealed) for (const segment of segments) needed.add(segment);
  return needed;
}

function unreadableNote({ unreadable }: VaultPicture): string[] {
  const more = unreadable.length - SHOWN_UNREADABLE;
  const named = [...unreadable.slice(0, SHOWN_UNREADABLE), ...(more > 0 ? [`${more} more`] : [])].join(', ');
  return unreadable.length === 0 ? [] : [`No segment is marked or removed while the manifest of ${named} cannot be read: nobody knows what it needs.`];
}

function marksById(marks: Mark[]): Map<string, Mark[]> {
  const byId = new Map<string, Mark[]>();
  for (const mark of marks) byId.set(mark.id, [...(byId.get(mark.id) ?? []), mark]);
  return byId;
}
