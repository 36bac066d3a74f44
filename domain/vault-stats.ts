/** What a cluster's backups take up in a vault. Pure. */
import type { Manifest } from './manifest';

export interface SegmentSize {
  id: string;
  /** Of all its files. */
  bytes: number;
  isMarked: boolean;
}
/** Sizes of a backup's own folder. */
export interface FolderSize {
  metadata: number;
  lists: number;
  other: number;
}

export interface ClusterStats {
  cluster: string;
  backups: { complete: number; incomplete: number; unreadable: number };
  /** ISO 8601, when they were begun; null without backups. */
  oldest: string | null;
  newest: string | null;
  bytes: {
    /** `live`: named by a sealed backup; `dead`: by none; `tombstoned`: by none, and marked for removal. */
    segments: { live: number; dead: number; tombstoned: number };
    /** The vendor's archives and the link trees. */
    metadata: number;
    lists: number;
    /** Manifests, guides, verdicts, marks, unfinished folders. */
    other: number;
  };
  /** Images as all backups together hold them, and how often one live byte stands for them. */
  imageBytes: number;
  dedupRatio: number | null;
  /** Added to the vault: by a backup after the first one, and by a day. Null with fewer than two backups. */
  growth: { perBackup: number; perDay: number } | null;
  /** What would be free without this one backup, newest first. */
  exclusive: { id: string; bytes: number }[];
}

/** A sealed backup and the segments that it names. */
export interface SealedStats {
  manifest: Manifest;
  segments: readonly string[];
}

export interface StatsInput {
  cluster: string;
  backups: readonly SealedStats[];
  unreadable: number;
  segments: readonly SegmentSize[];
  folders: ReadonlyMap<string, FolderSize>;
  /** Of verdicts, marks, records. */
  otherBytes: number;
}

const DAY_MS = 86_400_000;

export function clusterStats({ cluster, backups, unreadable, segments, folders, otherBytes }: StatsInput): ClusterStats {
  const manifests = backups.map(({ manifest }) => manifest);
  const newestFirst = [...manifests].sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  /** The only backup that names the segment; null where several do. */
  const users = new Map<string, string | null>();
  for (const { manifest, segments: used } of backups) for (const segment of used) users.set(segment, users.has(segment) ? null : manifest.backupId);
  const exclusive = new Map<string, number>();
  const sizes = { live: 0, dead: 0, tombstoned: 0 };
  for (const { id, bytes, isMarked } of segments) {
    const by = users.get(id);
    sizes[by !== undefined ? 'live' : isMarked ? 'tombstoned' : 'dead'] += bytes;
    if (typeof by === 'string') exclusive.set(by, (exclusive.get(by) ?? 0) + bytes);
  }
  const folder = { metadata: 0, lists: 0, other: otherBytes };
  for (const { metadata, lists, other } of folders.values()) {
    folder.metadata += metadata;
    folder.lists += lists;
    folder.other += other;
  }
  const imageBytes = manifests.reduce((sum, { bytes }) => sum + bytes.images, 0);
  return {
    cluster,
    backups: { complete: manifests.filter(({ status }) => status === 'complete').length, incomplete: manifests.filter(({ status }) => status !== 'complete').length, unreadable },
    oldest: newestFirst.at(-1)?.startedAt ?? null,
    newest: newestFirst[0]?.startedAt ?? null,
    bytes: { segments: sizes, ...folder },
    imageBytes,
    dedupRatio: sizes.live === 0 ? null : imageBytes / sizes.live,
    growth: growthOf(newestFirst),
    exclusive: newestFirst.map(({ backupId }) => {
      const own = folders.get(backupId) ?? { metadata: 0, lists: 0, other: 0 };
      return { id: backupId, bytes: (exclusive.get(backupId) ?? 0) + own.metadata + own.lists + own.other };
    }),
  };
}

/** The oldest one is left out: it brought all that was there. */
function growthOf(newestFirst: readonly Manifest[]): ClusterStats['growth'] {
  const oldest = newestFirst.at(-1);
  const later = newestFirst.slice(0, -1);
  if (!oldest || later.length === 0) return null;
  const added = later.reduce((sum, { bytes }) => sum + bytes.stored + bytes.metadata, 0);
  const days = (Date.parse(newestFirst[0]!.startedAt) - Date.parse(oldest.startedAt)) / DAY_MS;
  return { perBackup: Math.round(added / later.length), perDay: Math.round(added / Math.max(days, 1)) };
}
