/** Rows of the tables that the stand-in itself reads and writes. Times are ISO 8601 with milliseconds. */

export interface RepositoryRow {
  id: string;
  /** UCP's account id of the owner; the name can change, this does not. */
  namespaceAccountID: string;
  namespace: string;
  namespaceType: 'user' | 'organization';
  name: string;
  visibility: 'public' | 'private';
  shortDescription: string;
  longDescription: string;
  scanOnPush: boolean;
  immutableTags: boolean;
  enableManifestLists: boolean;
  tagLimit: number;
  pulls: number;
  pushes: number;
  createdAt: string;
}

export interface BlobRow {
  id: string;
  /** With its algorithm, `sha256:<hex>`, as in manifests. */
  sha256sum: string;
  size: number;
  mediaType: string;
  createdAt: string;
}

export interface BlobLinkRow {
  pk: string;
  namespace: string;
  repository: string;
  digest: string;
  createdAt: string;
}

export interface ManifestLayer {
  digest: string;
  size: number;
  mediaType: string;
  urls?: string[];
}

export interface ManifestRow {
  /** `<namespace>/<repository>@<digest>` */
  pk: string;
  digest: string;
  /** `<namespace>/<repository>` */
  repository: string;
  mediaType: string;
  os: string;
  architecture: string;
  layers: ManifestLayer[];
  configDigest: string;
  /** Of an index: digests of its children. */
  manifests?: string[];
  /** Sum of the layers. */
  size: number;
  originalAuthor: string;
  createdAt: string;
  deleted: boolean;
}

export interface TagRow {
  /** `<namespace>/<repository>:<name>` */
  pk: string;
  repository: string;
  name: string;
  digest: string;
  /** Primary key of the manifest's row. */
  digestPK: string;
  authorNamespace: string;
  createdAt: string;
  updatedAt: string;
  deleted: boolean;
}

export type AccessLevel = 'read-only' | 'read-write' | 'admin';

export interface TeamAccessRow {
  pk: string;
  teamID: string;
  teamName: string;
  orgName: string;
  accessLevel: AccessLevel;
  /** `<namespace>/<repository>`; absent where the access is to a whole namespace. */
  repository?: string;
  repositoryID?: string;
  namespaceID?: string;
}

export interface CronRow {
  id: string;
  action: string;
  /** `s m h dom mon dow` */
  schedule: string;
  retries: number;
  capacityMap: Record<string, number>;
  parameters: Record<string, string> | null;
  deadline: string;
  stopTimeout: string;
  nextRun: string;
}

export type JobStatus = 'waiting' | 'running' | 'done' | 'error' | 'cancel_request' | 'canceled';

export interface JobRow {
  id: string;
  action: string;
  status: JobStatus;
  retriesLeft: number;
  workerID: string;
  cronID: string;
  scheduledAt: string;
  lastUpdated: string;
  parameters: Record<string, string> | null;
  deadline: string;
  stopTimeout: string;
}

export interface TokenRow {
  /** SHA-256 of the token; the token itself is shown once. */
  hashedSecret: string;
  token: string;
  tokenLabel: string;
  accountID: string;
  accountName: string;
  isActive: boolean;
  createdAt: string;
}

export interface ReplicaSetting {
  HTTPPort: number;
  HTTPSPort: number;
  node: string;
}

export const now = (): string => new Date().toISOString();
