/** What a restore finds and what it will do. */
import type { SavedCron } from './changes';
import type { Replica, Storage } from './manifest';

/** State of one replica that the backup or the cluster knows. */
export interface ReplicaState {
  id: string;
  node: string;
  /** Its node answers in UCP. */
  nodeReachable: boolean;
  /** Any of its containers exist. */
  present: boolean;
  running: boolean;
  healthy: boolean;
  note: string;
}

export type Verdict = 'healthy' | 'minorityLost' | 'quorumLost' | 'allLost';

export interface Diagnosis {
  verdict: Verdict;
  replicas: ReplicaState[];
  /** Swarm nodes that hold (or held) replicas and do not answer. */
  lostNodes: string[];
  /** One sentence for people. */
  summary: string;
}

/** The order of work. Everything here is a decision: it is what `digestOf` covers. */
export interface RestoreDecisions {
  cluster: string;
  backupId: string;
  /** Read from this vault; absent: the cluster's own. */
  vault?: string;
  manifestSha256: string;
  version: string;
  bootstrapperImage: string;
  ucpUrl: string;
  externalUrl: string;
  storage: Storage;
  volume: { name: string; driver: string; options: Record<string, string> } | null;
  /** The replica that the metadata is restored into. */
  first: Replica;
  /** Joined afterwards, in this order. */
  joins: Replica[];
  /** Replicas whose containers and volumes are destroyed. */
  destroys: { id: string; node: string }[];
  /** Taken out of the Swarm; a person confirms that they are off. */
  fences: string[];
  /** SSH host for each node where it is not the configured one. */
  targets: { replicaId: string; node: string; host?: string; port?: number; hostKey?: string }[];
  /** Containers of these replicas are stopped first. */
  stops: { id: string; node: string }[];
  scanning: 'online' | 'file' | 'off';
  /** Of the backup, as they were before its freeze: they come back at the release. */
  crons: SavedCron[];
  /** Whether the registry was closed for pushes before the backup: then it stays so. */
  readOnly: boolean;
  acceptMissingOwners: boolean;
  acceptUnsigned: boolean;
  force: boolean;
}

export interface RestorePlan {
  decisions: RestoreDecisions;
  /** SHA-256 of the canonical JSON of `decisions`. */
  digest: string;
  estimates: { bytesToMove: number; bytesKept: number; blobs: number; tags: number; repositories: number };
  /** Sentences: what was opened with the key at hand. */
  proof: string[];
  warnings: string[];
  diagnosis: Diagnosis;
  sealedAt: string;
}

/** JSON with sorted keys, so that equal decisions have equal digests. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
