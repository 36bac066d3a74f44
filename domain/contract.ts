/**
 * What the three doors (Temporal UI, `drydock`, `temporal`) and the workflows agree on: names, inputs, the state that a
 * query answers and the memo that is readable without a worker. Names here are public: changing one breaks scripts.
 */
import type { UsedGap } from './accepted-gaps';
import { z } from 'zod';
import { safeName } from './config';
import type { CopiedTo } from './copy';
import type { VerifyResult } from './verify';
import { plainName, plainText } from './plain-text';
import { personSaid, reasonSaid } from './said';

export { EXIT } from './exit-codes';

export const TASK_QUEUE = 'drydock';

/** Workflow types as they stand in the Temporal UI. */
export const WORKFLOW = { backup: 'backup', restore: 'restore', verify: 'verify', prune: 'prune', copy: 'copy', forget: 'forget', reconcile: 'reconcile', lock: 'lock' } as const;
export type OperationType = 'backup' | 'restore' | 'verify' | 'prune' | 'copy' | 'forget' | 'reconcile';

/** Message names: `decide` exists as an update and as a signal of the same shape; `state` is a query. */
export const MESSAGE = { decide: 'decide', state: 'state' } as const;

export const replicaId = z.string().regex(/^[0-9a-f]{12}$/, 'expected 12 hexadecimal digits');
export const backupIdSchema = z.string().regex(/^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$/, 'expected an id like 20261123T020000Z-1a2b3c');

export const backupInput = z.strictObject({
  cluster: safeName,
  /** Who asked; the command fills in the user name. */
  startedBy: personSaid.optional(),
  reason: reasonSaid.optional(),
});
export type BackupInput = z.infer<typeof backupInput>;

export const restoreTarget = z.strictObject({
  /** The replica that comes to stand on `node`. */
  replicaId,
  /** Swarm host name of the node. */
  node: plainName.refine((name) => name !== '', 'is empty'),
  /** SSH address, where it differs from drydock.yaml (a rebuilt host). */
  host: plainName.optional(),
  port: z.int().min(1).max(65535).optional(),
  /** The rebuilt host's public SSH host key, `ssh-ed25519 AAAA...`; replaces known_hosts for it. */
  hostKey: plainText.optional(),
});

export const restoreInput = z.strictObject({
  cluster: safeName,
  backup: z.union([z.literal('latest'), backupIdSchema]).default('latest'),
  /** Another vault than the cluster's own, such as a copy. */
  vault: safeName.optional(),
  targets: z.array(restoreTarget).optional(),
  /** Restore although all replicas are healthy or only a minority is lost. */
  force: z.boolean().optional(),
  /** Go on although owners of repositories do not exist on the target UCP. */
  acceptMissingOwners: z.boolean().optional(),
  /** Go on although a signature is asked for and the backup has no good one. */
  acceptUnsigned: z.boolean().optional(),
  startedBy: personSaid.optional(),
  reason: reasonSaid.optional(),
});
export type RestoreInput = z.infer<typeof restoreInput>;
export type RestoreTarget = z.infer<typeof restoreTarget>;

export const reconcileInput = z.strictObject({
  cluster: safeName,
  /** Operation (or workflow id) of an unfinished restore that people have dealt with in another way: its records are ended, the registry is not touched. */
  endRestore: z.string().min(1).max(1000).optional(),
  startedBy: personSaid.optional(),
});
export type ReconcileInput = z.infer<typeof reconcileInput>;

export const decideInput = z.strictObject({
  gate: z.string(),
  /** `retry` at gates that offer it: what failed is tried again. */
  decision: z.enum(['approve', 'reject', 'retry']),
  by: personSaid,
  reason: reasonSaid.optional(),
  planDigest: z.string(),
  /** The run that is meant. `drydock` fills it in; given, the vote counts for this run only and not for one that it is reset to. */
  runId: z.string().max(100).optional(),
});
export type DecideInput = z.infer<typeof decideInput>;
export type Decision = DecideInput['decision'];
/** What the update answers. */
export interface DecideResult {
  accepted: true;
  gate: string;
  decision: Decision;
  by: string;
  message: string;
}

/** One way to answer at a gate, and what comes of it. */
export interface Choice {
  decision: Decision;
  /** Goes on after "To ...": `go on`, `stop here: the registry stays read-only`. */
  means: string;
}

/** A point where the run waits for people. `digest` binds a vote to what was shown. */
export interface Gate {
  name: string;
  /** SHA-256 (hex) of the decisions shown; an approval counts for this digest only. */
  planDigest: string;
  /** One line of what an approval lets happen. */
  question: string;
  /** Markdown, the whole of what is approved. */
  details: string;
  openedAt: string;
  approvers: string[];
  choices: Choice[];
}

/** Progress of the running step: bytes and counts, never a secret. */
export interface StepView {
  name: string;
  title: string;
  state: 'waiting' | 'running' | 'done' | 'skipped' | 'failed';
  startedAt?: string;
  endedAt?: string;
  note?: string;
}

/** Answer of the query `state`. */
export interface OperationView {
  type: OperationType;
  cluster: string;
  backupId?: string;
  stage: string;
  steps: StepView[];
  gate: Gate | null;
  votes: { gate: string; decision: string; by: string; reason?: string; at: string; counted: boolean; note?: string }[];
  warnings: string[];
  startedBy?: string;
  /** The run was told to end, and waits for its step to end and for what is put back. */
  cancelling?: true;
}

/**
 * The memo of a run (key `drydock`), readable without a worker. `gate.details` is the plan in markdown, cut to a few KB.
 */
export interface OperationMemo {
  type: OperationType;
  cluster: string;
  backupId?: string;
  stage: string;
  gate: Gate | null;
}
export const MEMO_KEY = 'drydock';

/** Result of `backup`: also what `drydock backup --json` prints (plus workflowId). */
export interface BackupResult {
  backupId: string;
  cluster: string;
  status: 'complete' | 'incomplete';
  vault: string;
  manifestSha256: string;
  startedAt: string;
  sealedAt: string;
  counts: { repositories: number; tags: number; manifests: number; blobs: number; newBlobs: number; rows: number; inFlight: number; gaps: number; acceptedGaps: number };
  bytes: { images: number; moved: number; stored: number; metadata: number };
  gaps: { image: string; digest: string; what: string }[];
  /** What people have accepted to be missing: the first 100. Absent where there is nothing. */
  acceptedGaps?: UsedGap[];
  /** Null where `policy.verify` is off, or the verification could not be carried out (a warning says why). */
  verified: Pick<VerifyResult, 'level' | 'result' | 'withKeys' | 'findingCount' | 'findings' | 'notes'> | null;
  /** What came of `copies`; absent without. */
  copies?: Pick<CopiedTo, 'vault' | 'copied' | 'bytes' | 'findingCount'>[];
  warnings: string[];
  stages: { name: string; title: string; seconds: number; bytes?: number }[];
}

export interface RestoreResult {
  backupId: string;
  cluster: string;
  status: 'restored';
  replicas: { id: string; node: string }[];
  counts: { repositories: number; tags: number; pulled: number; blobsKept: number; blobsWritten: number };
  bytes: { kept: number; written: number };
  /** The first of them, among those that people accepted. */
  differences: string[];
  differenceCount: number;
  /** Who let the restore go on with the differences, or with images that cannot be pulled; null when there was nothing to accept. */
  accepted: { by: string; reason?: string; at: string } | null;
  /** What the confirmation could not judge. */
  notJudged: string[];
  warnings: string[];
  stages: { name: string; title: string; seconds: number; waitedSeconds?: number; bytes?: number }[];
}

/** Sentences. `left`: what stays as it is, and what to do about it. */
export interface ReconcileResult {
  cluster: string;
  putBack: string[];
  left: string[];
}

/** Workflow ids: the cluster's name inside, so that the UI's list reads well. */
export function lockId(cluster: string): string {
  return `lock/${cluster}`;
}

/** Held by whoever fills a cluster's copies or removes from its vaults, so that a long copy keeps no backup from starting. */
export function vaultsLockId(cluster: string): string {
  return `${lockId(cluster)}/vaults`;
}

/** Heartbeat details of long activities; the command reads them from the pending activity. */
export interface Heartbeat {
  phase: string;
  bytesDone: number;
  bytesTotal?: number;
  itemsDone?: number;
  itemsTotal?: number;
  /** For resumption. */
  cursor?: unknown;
}
