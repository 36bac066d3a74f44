/** Names and records of the vault's format, version 1. `docs/vault-format.md` explains them; a change here is a change of format. */

export const FORMAT_VERSION = 1;

export const vaultPaths = {
  vaultFile: 'vault.json',
  backups: (cluster: string) => `${cluster}/backups/`,
  backup: (cluster: string, id: string) => `${cluster}/backups/${id}`,
  artifact: (cluster: string, id: string, file: string) => `${cluster}/backups/${id}/${file}`,
  manifest: (cluster: string, id: string) => `${cluster}/backups/${id}/manifest.json`,
  segments: (cluster: string) => `${cluster}/segments/`,
  segment: (cluster: string, segmentId: string) => `${cluster}/segments/${segmentId}.tar.gpg`,
  segmentIndex: (cluster: string, segmentId: string) => `${cluster}/segments/${segmentId}.index`,
  /** Session key packets for a recipient that was added later, beside the encrypted file `name` (a segment or an artifact). */
  wrappedKeys: (name: string, recipient: string) => `${name.replace(/\.tar\.gpg$/, '')}.${recipient.replace(':', '-')}.keys`,
  signature: (cluster: string, id: string) => `${cluster}/backups/${id}/manifest.json.asc`,
  verdicts: (cluster: string) => `${cluster}/verdicts/`,
  /** `at`: ISO 8601, UTC. */
  verdict: (cluster: string, id: string, at: string) => `${cluster}/verdicts/${id}/${at.replace(/[-:]/g, '')}.json`,
  findings: (cluster: string, id: string, at: string) => `${cluster}/verdicts/${id}/${at.replace(/[-:]/g, '')}.findings.jsonl.gz.gpg`,
  badSegments: (cluster: string, id: string, at: string) => `${cluster}/verdicts/${id}/${at.replace(/[-:]/g, '')}.segments.jsonl`,
  operations: (cluster: string) => `${cluster}/operations/`,
  /** `file`: `<id of a change>.<revision>.json`. */
  operation: (cluster: string, file: string) => `${cluster}/operations/${file}`,
  verdictsOf: (cluster: string, id: string) => `${cluster}/verdicts/${id}/`,
  tombstones: (cluster: string) => `${cluster}/tombstones/`,
  /** `id`: of a backup or a segment; `time`: as `compactTime` writes it. */
  tombstone: (cluster: string, id: string, time: string) => `${cluster}/tombstones/${id}.${time}.json`,
} as const;

/** Names of what is removed again within days: records of running operations, tombstones, probes. No lock may hold them for years. */
export function isShortLived(name: string): boolean {
  return /^[^/]+\/(operations|tombstones)\/|^probe-[0-9a-f]+$/.test(name);
}

/** A time as it stands in names: `20261123T020000Z`. */
export function compactTime(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d+/g, '');
}

/** How a passphrase is named among recipients: this word, and behind a colon what tells it from other passphrases. */
export const PASSPHRASE_RECIPIENT = 'passphrase';

/** Whether a recipient's name stands for a passphrase; else it is the fingerprint of a key. */
export function isPassphrase(recipient: string): boolean {
  return recipient.startsWith(PASSPHRASE_RECIPIENT);
}

/** First line of a segment's index (JSON lines). */
export interface SegmentHeader {
  format: number;
  segment: string;
  /** The operation that wrote it. */
  writtenBy: string;
  /** Of the `.tar.gpg` object. */
  bytes: number;
  sha256: string;
  recipients: string[];
  blobs: number;
  /** Of the plain tar. */
  plainBytes: number;
}

/** Every further line: one stored copy. `void` copies are in the tar but must never be used: torn or changed under the reader. */
export interface StoredBlob {
  /** Relative to the registry volume's root; also the member's name in the tar. */
  path: string;
  size: number;
  /** Hex, of the bytes that passed. */
  sha256: string;
  /** Offset of the data in the plain tar. */
  offset: number;
  void?: true;
  /** Only for image manifests and indexes: what they refer to. */
  refs?: ManifestRefs;
}

/** Digests are in our form (digest.ts): bare hex, or with their algorithm where that is not SHA-256. */
export interface ManifestRefs {
  mediaType: string;
  config?: string;
  layers?: string[];
  /** Layers that may lawfully be absent (they carry `urls`). */
  foreign?: string[];
  manifests?: string[];
  /** Sizes in bytes as the manifest says them: of configuration, layers and children, in this order. Absent for schema 1, which says none. */
  sizes?: number[];
  /** What a signature or attestation is about. It points upwards and need not be there. */
  subject?: string;
  /** How many further references name no digest that can be read. */
  unreadable?: number;
}
