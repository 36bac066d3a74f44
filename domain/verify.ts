/** Verification of a sealed backup: what is found, what is tolerated, and the check of every tag against what is stored. Pure. */
import { DigestNumbers } from './digest-numbers';
import type { TagLine } from './manifest';
import type { Follower } from './proof';
import type { VerifyLevel } from './verdict';
import type { ManifestRefs } from './vault-format';

/** Something that is not as it should be, before it is known which images it concerns. Digests are bare hex. */
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
  /** `sha256:...`; null where the damage is not about one piece of content. */
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
  /** Told of each digest that some tag needs. */
  markNeeded(digest: string): void;
}

export interface GraphChecked {
  damages: Damage[];
  /** Tags that were not held to it: in flight while the backup was made, or incomplete by its own words. */
  inFlight: number;
  knownGaps: number;
  foreignLayers: number;
  schema1: number;
}

/** Follows every tag to its configuration and layers: each must be stored, with the size that its manifest says. */
export function checkGraph(tags: Iterable<TagLine>, follower: Follower, stored: StoredContent): GraphChecked {
  const checked: GraphChecked = { damages: [], inFlight: 0, knownGaps: 0, foreignLayers: 0, schema1: 0 };
  const seen = new DigestNumbers();
  /** Of the manifests that were seen, those with parts of another size. */
  const wrongSizes = new Map<string, Damage[]>();
  for (const tag of tags) {
    const { missing, manifests, parts } = follower.follow(bare(tag.digest));
    for (const digest of [...manifests, ...parts]) stored.markNeeded(digest);
    if (tag.state === 'inFlight') checked.inFlight += 1;
    if (tag.state === 'gap') checked.knownGaps += 1;
    if (tag.state !== 'whole') continue;
    const image = `${tag.repository}:${tag.name}`;
    for (const each of missing) checked.damages.push({ image, digest: each.digest, what: each.what.endsWith('cannot be read') ? `there is a ${each.what}` : `the ${each.what} is not in the backup` });
    for (const manifest of manifests) {
      if (seen.find(manifest) === undefined) {
        seen.add(manifest);
        const refs = stored.refsOf(manifest);
        checked.foreignLayers += refs?.foreign?.length ?? 0;
        // The type of OCI's manifests ends likewise.
        checked.schema1 += refs?.mediaType.startsWith('application/vnd.docker.distribution.manifest.v1') === true ? 1 : 0;
        const wrong = wrongSizesOf(refs, stored);
        if (wrong.length > 0) wrongSizes.set(manifest, wrong);
      }
      for (const each of wrongSizes.get(manifest) ?? []) checked.damages.push({ ...each, image });
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

function wrongSizesOf(refs: ManifestRefs | undefined, stored: StoredContent): Damage[] {
  if (!refs?.sizes) return [];
  const named = [...(refs.config === undefined ? [] : [refs.config]), ...(refs.layers ?? []), ...(refs.manifests ?? [])];
  const sizes = refs.sizes;
  return named.flatMap((digest, at) => {
    const size = stored.sizeOf(digest);
    const expected = sizes[at];
    return size === undefined || expected === undefined || size === expected ? [] : [{ digest, what: `it has ${size} bytes, the manifest says ${expected}` }];
  });
}

function bare(digest: string): string {
  return digest.slice(-64);
}
