/** Verification of a sealed backup: what is found, what is tolerated, and the check of every tag against what is stored. Pure. */
import { DigestNumbers } from './digest-numbers';
import type { TagLine } from './manifest';
import type { Follower } from './proof';
import type { VerifyLevel } from './verdict';
import type { ManifestRefs } from './vault-format';

/** Something that is not as it should be, before it is known which images it concerns. Digests are in our form (digest.ts). */
export interface Damage {
  what: string;
  digest?: string;
  segment?: string;
  /** Name in the vault. */
  file?: string;
  /** `repository:tag`, where it is known already. */
  image?: string;
  /** The whole segment is gone or cut short. */
  lost?: true;
}

/** A finding as people see it. */
export interface Finding {
  /** `repository:tag`; null where no image needs the content, or no key tells which does. */
  image: string | null;
  /** With its algorithm; null where the damage is not about one piece of content. */
  digest: string | null;
  segment: string | null;
  file: string | null;
  what: string;
  /** The newest backup that still holds the content in a sound segment; null when none does. */
  lastBackup: string | null;
  /** Another vault of the cluster that holds the file as it was sealed; absent where none does. */
  intactIn?: string;
}

export interface VerifyPart {
  n: number;
  t: number;
}

/** Result of `verify`: also what `drydock verify --json` prints (plus workflowId). */
export interface VerifyResult {
  backupId: string;
  cluster: string;
  level: VerifyLevel;
  part?: VerifyPart;
  result: 'good' | 'bad';
  withKeys: boolean;
  startedAt: string;
  at: string;
  checked: { segments: number; blobs: number; bytes: number; tags: number };
  /** How many there are; `findings` has the first 100. */
  findingCount: number;
  findings: Finding[];
  /** Sentences: what the verification proves, and what it tolerated. */
  notes: string[];
}

const ORDER: readonly VerifyLevel[] = ['L0', 'L1', 'L2', 'L3', 'L4'];

/** Whether a verification to `level` includes the checks of `part`. */
export function includes(level: VerifyLevel, part: VerifyLevel): boolean {
  return ORDER.indexOf(level) >= ORDER.indexOf(part);
}

/** What is known to be stored: size by digest, and what manifests refer to. */
export interface StoredContent {
  sizeOf(digest: string): number | undefined;
  refsOf(digest: string): ManifestRefs | undefined;
  /** Whether the index that would have its references could be read. */
  isIndexed(digest: string): boolean;
  /** Told of each digest that some tag needs. */
  markNeeded(digest: string): void;
}

export interface GraphChecked {
  damages: Damage[];
  /** Tags that were not held to it: in flight while the backup was made, or incomplete by its own words. */
  inFlight: number;
  knownGaps: number;
  acceptedGaps: number;
  foreignLayers: number;
  schema1: number;
  /** What is odd in the registry itself, and was when the backup was made: the bytes are those that were pushed. */
  wrongSizes: number;
  unreadable: number;
}

/** Follows every tag to its configuration and layers: each must be stored. That its bytes have the right digest is for the segments to show. */
export function checkGraph(tags: Iterable<TagLine>, follower: Follower, stored: StoredContent): GraphChecked {
  const checked: GraphChecked = { damages: [], inFlight: 0, knownGaps: 0, acceptedGaps: 0, foreignLayers: 0, schema1: 0, wrongSizes: 0, unreadable: 0 };
  const seen = new DigestNumbers();
  for (const tag of tags) {
    const { missing, manifests, parts } = follower.follow(bare(tag.digest));
    for (const digest of [...manifests, ...parts]) stored.markNeeded(digest);
    if (tag.state === 'inFlight') checked.inFlight += 1;
    if (tag.state === 'gap') checked.knownGaps += 1;
    if (tag.state === 'acceptedGap') checked.acceptedGaps += 1;
    if (tag.state !== 'whole') continue;
    const image = `${tag.repository}:${tag.name}`;
    for (const { digest, what, isUnreadable } of missing) {
      if (!isUnreadable) checked.damages.push({ image, digest, what: `the ${what} is not in the backup` });
      // Where its index is damaged, that it was readable is all we know.
      else if (!stored.isIndexed(digest)) checked.damages.push({ image, digest, what: `there is a ${what}` });
    }
    for (const manifest of manifests) {
      if (seen.find(manifest) !== undefined) continue;
      seen.add(manifest);
      const refs = stored.refsOf(manifest);
      checked.foreignLayers += refs?.foreign?.length ?? 0;
      // The type of OCI's manifests ends likewise.
      checked.schema1 += refs?.mediaType.startsWith('application/vnd.docker.distribution.manifest.v1') === true ? 1 : 0;
      checked.wrongSizes += wrongSizesOf(refs, stored);
      checked.unreadable += refs === undefined && stored.isIndexed(manifest) ? 1 : 0;
    }
  }
  return checked;
}

/** Tags, by `repository:tag`, whose content includes any of these digests. */
export function imagesWith(digests: ReadonlySet<string>, tags: Iterable<TagLine>, follower: Follower): Map<string, string[]> {
  const images = new Map<string, string[]>();
  for (const tag of tags) {
    const { manifests, parts } = follower.follow(bare(tag.digest));
    for (const digest of new Set([...manifests, ...parts])) {
      if (digests.has(digest)) images.set(digest, [...(images.get(digest) ?? []), `${tag.repository}:${tag.name}`]);
    }
  }
  return images;
}

function wrongSizesOf(refs: ManifestRefs | undefined, stored: StoredContent): number {
  if (!refs?.sizes) return 0;
  const { sizes } = refs;
  const named = [...(refs.config === undefined ? [] : [refs.config]), ...(refs.layers ?? []), ...(refs.manifests ?? [])];
  return named.filter((digest, at) => {
    const size = stored.sizeOf(digest);
    return size !== undefined && sizes[at] !== undefined && size !== sizes[at];
  }).length;
}

function bare(digest: string): string {
  return digest.slice(-64);
}
