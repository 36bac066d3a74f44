/** A cron as `GET /api/v0/crons` gives it; unknown fields are kept, since they are put back as they were. */
export interface Cron {
  id?: string;
  action: string;
  schedule: string;
  retries: number;
  capacityMap?: unknown;
  parameters: unknown;
  deadline: string;
  stopTimeout?: string;
  nextRun?: string;
}

export interface Job {
  id: string;
  action: string;
  /** Normalised: `canceled`/`cancelled` -> cancel, `errored` -> error. */
  status: string;
  scheduledAt?: string;
  lastUpdated?: string;
  cronID?: string;
}

export interface ClusterStatus {
  replicaHealth: Record<string, string>;
  replicaTimestamp: Record<string, string>;
  replicaReadonly: Record<string, boolean>;
  gcLockHolder: string;
}

export interface ImagescanStatus {
  state: number;
  dbVersion: number | null;
  dbUpdatedAt: string | null;
  lastDbUpdateFailed: boolean;
  lastVulnOverridesDbUpdateFailed: boolean;
}

export interface Repository {
  namespace: string;
  name: string;
  visibility: string;
  namespaceType?: string;
  [key: string]: unknown;
}

export interface TeamAccess {
  teamId: string;
  team: string;
  accessLevel: string;
}

export interface RemoteTag {
  name: string;
  digest: string;
  updatedAt?: string;
  createdAt?: string;
}

/** DTR's API under one address (the external URL or one replica's own). Calls do not retry. */
export interface Dtr {
  readonly url: string;
  /** Clock of the server, from the Date header of the last answer; ms since epoch minus the local clock. Undefined until an answer had one. */
  readonly clockOffsetMs: number | undefined;
  /** `/_ping`: healthy, or what is wrong. Unreachable is `{healthy:false, error}` too. */
  ping(): Promise<{ healthy: boolean; error: string }>;
  health(): Promise<{ healthy: boolean; error: string }>;
  clusterStatus(): Promise<ClusterStatus>;
  version(): Promise<string>;
  /** Whole answer of `GET meta/settings`. */
  settings(): Promise<Record<string, unknown>>;
  /** Partial update, 202. */
  updateSettings(partial: Record<string, unknown>): Promise<void>;
  crons(): Promise<Cron[]>;
  /** Null when there is none of that action. */
  cron(action: string): Promise<Cron | null>;
  putCron(cron: Cron): Promise<void>;
  /** Not there counts as success. */
  deleteCron(action: string): Promise<void>;
  /** Newest first where the version sorts them. `limit`: of those that match, 1,000 unless told otherwise; pages are read until there are so many, or until the list ends. */
  jobs(filter: { action?: string; running?: boolean; limit?: number }): Promise<Job[]>;
  job(id: string): Promise<Job | null>;
  /** Starts a job (`POST /jobs`), returns its id. */
  startJob(action: string, parameters?: unknown): Promise<string>;
  repositories(): Promise<Repository[]>;
  tags(namespace: string, name: string): Promise<RemoteTag[]>;
  /** What teams may do with one repository. */
  teamAccess(namespace: string, name: string): Promise<TeamAccess[]>;
  /** What teams may do in all repositories of a namespace. */
  namespaceAccess(namespace: string): Promise<TeamAccess[]>;
  /** Null when scanning is not enabled. */
  imagescanStatus(): Promise<ImagescanStatus | null>;
  updateVulnerabilityDatabase(source: { online: true } | { file: string }): Promise<void>;
  /** The certificate that the server shows, SHA-256 fingerprint as upper-case hex pairs with colons. */
  certificateFingerprint(): Promise<string>;
  close(): Promise<void>;
}
