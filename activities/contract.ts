/**
 * The activities as workflows see them: one step each against the outside world, one object in, one small object out. Every one may run
 * twice, or die half-way and run again. Payloads carry references and counts, never lists of blobs, never secrets.
 */
import type { UsedGap } from '../domain/accepted-gaps';
import type { Diagnosis, RestoreDecisions, RestorePlan } from '../domain/plan';
import type { Change, FreezeChange, SavedCron } from '../domain/changes';
import type { CopiedTo } from '../domain/copy';
import type { ForgetPlan, ForgottenIn } from '../domain/forget';
import type { PruneResult } from '../domain/prune-result';
import type { ArtifactRef, InstallSettings, Replica, Storage, Volume } from '../domain/manifest';
import type { Note } from '../domain/notes';
import type { BackupResult, RestoreTarget } from '../domain/contract';
import type { VerifyPart, VerifyResult } from '../domain/verify';
import type { VerifyLevel } from '../domain/verify-level';

/** Which operation acts on which cluster. */
export interface Step {
  cluster: string;
  /** The workflow id with `/` replaced by `_`; names records in the vault, labels and working files. */
  operation: string;
  /** Another vault than the cluster's own, such as a copy. */
  vault?: string;
}
export interface BackupStep extends Step {
  backupId: string;
}

/** What the check found, and what later steps rely on. */
export interface BackupFacts {
  version: string;
  /** With tag. */
  bootstrapperImage: string;
  /** The replica whose database is read, and its node. */
  replica: Replica;
  replicas: Replica[];
  settings: InstallSettings;
  storage: Storage;
  /** Null when the images lie elsewhere. `mountpoint` and `host` (Swarm host name) say where they are read. */
  volume: (Volume & { mountpoint: string; host: string }) | null;
  ucp: { url: string; clusterId: string; version: string };
  vault: string;
  warnings: string[];
}

export type { SavedCron };

/** What was there before a freeze: kept in the workflow and where changes are recorded. */
export type FreezeRecord = FreezeChange;

export interface FreezeRecorded {
  record: FreezeRecord;
  /** Sentences: what a dead operation had left switched off, and what was put back of it or left as someone set it. */
  warnings: string[];
}

export interface ImagesPass {
  listed: { blobs: number; bytes: number };
  stored: { blobs: number; bytes: number };
  /** Stored copies that are void, and blobs that vanished: dealt with in pass 2. */
  torn: number;
  vanished: number;
  /** Only in pass 2. */
  tree: ArtifactRef | null;
}

export interface MetadataTaken {
  artifact: ArtifactRef;
  root: string;
  online: boolean;
  tables: Record<string, number>;
  documents: number;
  /** By the registry's own clock, ISO 8601. */
  dumpStartedAt: string;
  dumpEndedAt: string;
}

export interface Proof {
  /** `gaps`: those that nobody accepted. */
  counts: { repositories: number; tags: number; manifests: number; blobs: number; inFlight: number; gaps: number; acceptedGaps: number };
  imageBytes: number;
  /** First 100, named `repository:tag`. */
  gaps: { image: string; digest: string; what: string }[];
  /** First 100. */
  acceptedGaps: UsedGap[];
  layouts: ('sha256' | 'id')[];
  /** Sentences: what nobody could read, so that the backup may lack images which no gap names. Where there are any it is not complete. */
  unproven: string[];
  warnings: string[];
}

export interface ThawResult {
  putBack: string[];
  /** Sentences: what was left as someone set it meanwhile. */
  left: string[];
}

export interface BackupActivities {
  /** Step 2. All findings at once, each with its remedy, as one `Refused`; login and administrator right are tried first. */
  checkBackup(step: BackupStep): Promise<BackupFacts>;
  /** Steps 3 and 6. Pass 2 also takes the link tree, and looks a minute long for referenced blobs that are not there. */
  copyImages(step: BackupStep & { facts: BackupFacts; pass: 1 | 2 }): Promise<ImagesPass>;
  /** Step 4a. What an earlier, dead operation left is put back first, or taken over where that fails. */
  recordFreeze(step: BackupStep): Promise<FreezeRecorded>;
  /** Step 4b. Disables just the recorded crons and waits for running deletions; returns the registry's time. */
  freeze(step: BackupStep & { record: FreezeRecord }): Promise<{ frozenAt: string }>;
  /** Step 5. Each attempt stores under a name of its own. */
  takeMetadata(step: BackupStep & { facts: BackupFacts; round: number }): Promise<MetadataTaken>;
  /** Deletions (garbage collection, pruning) that ran or run since; running ones are waited for. Sentences. Throws VersionMismatch when DTR was upgraded since the check. */
  deletionsSince(step: BackupStep & { facts: BackupFacts; since: string }): Promise<{ jobs: string[] }>;
  /** Step 7; also `reconcile`. Ends the record. Nothing to put back is success. */
  thaw(step: Step & { record: FreezeRecord }): Promise<ThawResult>;
  /** Step 9. */
  prove(step: BackupStep & { facts: BackupFacts; metadata: MetadataTaken }): Promise<Proof>;
  /** Step 10. */
  seal(
    step: BackupStep & {
      facts: BackupFacts; record: FreezeRecord; metadata: MetadataTaken; passes: ImagesPass[]; proof: Proof; startedBy: string; startedAt: string;
      /** What the run has to say of the backup, besides the notes that the proof left; stored encrypted. */
      notes: Note[];
    },
  ): Promise<Pick<BackupResult, 'status' | 'vault' | 'manifestSha256' | 'sealedAt' | 'counts' | 'bytes'>>;
  /** Removes working files of this operation; with `abandoned`, also what it stored under the backup's id (never segments). */
  cleanUp(step: BackupStep & { abandoned: boolean; nothingStored?: boolean }): Promise<void>;
}

/** What a restored registry is like, compared with its backup. Lists hold the first of what their counts say. */
export interface Confirmed {
  repositories: number;
  tags: number;
  pulled: number;
  /** Sentences. */
  differences: string[];
  differenceCount: number;
  /** Images of the backup that are not there or cannot be pulled whole: `repository:tag: why`. */
  missing: string[];
  missingCount: number;
  /** Sentences: what a pull cannot judge, such as digests of an algorithm that cannot be computed here. No difference. */
  notJudged: string[];
  /** SHA-256 (hex) over all differences and missing images, those that are only counted included: what people accept. */
  digest: string;
}

export interface RestoreActivities {
  /** What is there now. Never throws because the cluster is broken. */
  diagnose(step: Step & { targets: RestoreTarget[]; backup: string }): Promise<Diagnosis>;
  /** Everything of issue 4.4 is refused here, all findings at once in one `Refused`. Changes nothing. */
  planRestore(step: Step & { backup: string; targets: RestoreTarget[]; force: boolean; acceptMissingOwners: boolean; acceptUnsigned: boolean; diagnosis: Diagnosis }): Promise<RestorePlan>;
  /** Records the containers that run, then stops them; a node that is away has nothing to stop. */
  stopReplica(step: Step & { id: string; node: string }): Promise<{ stopped: string[] }>;
  /** Undo of stopReplica, by its record. */
  startReplica(step: Step & { id: string; node: string; containers: string[] }): Promise<void>;
  /** Records what this restore is about to destroy, before anything is. Marks of earlier attempts stay. */
  markUnfinished(step: Step & { decisions: RestoreDecisions }): Promise<void>;
  /** Undo of `markUnfinished`, as long as nothing is destroyed. */
  unmarkUnfinished(step: Step & { decisions: RestoreDecisions }): Promise<void>;
  /** From now on the restore is behind its point of no return: until `markFinished` it may be started again without force. `destroyReplica` does the same before it acts. */
  passNoReturn(step: Step & { decisions: RestoreDecisions }): Promise<void>;
  /** Whether this run is behind it. True as well when that cannot be told. */
  hasPassedNoReturn(step: Step & { decisions: RestoreDecisions }): Promise<boolean>;
  /** Ends this restore's records and those of all attempts before it. Sentences: what could not be removed. */
  markFinished(step: Step & { decisions: RestoreDecisions }): Promise<{ warnings: string[] }>;
  /** Throws Refused when a host that people said to be off answers, in the Swarm or over SSH. */
  refuseReturned(step: Step & { decisions: RestoreDecisions }): Promise<void>;
  /** Out of the Swarm (`node rm --force`). */
  fenceNode(step: Step & { node: string }): Promise<void>;
  /** The vendor's `destroy`, then left-over containers and volumes of this replica. Nothing there is success. */
  destroyReplica(step: Step & { decisions: RestoreDecisions; id: string; node: string }): Promise<{ removed: string[] }>;
  /** Volume created, mount held, delta restore by digest, link tree. */
  restoreImages(step: Step & { decisions: RestoreDecisions }): Promise<{ kept: { blobs: number; bytes: number }; written: { blobs: number; bytes: number } }>;
  /** The vendor's `restore`; leftovers of a failed attempt are destroyed first, a restored replica is recognised and left. */
  restoreMetadata(step: Step & { decisions: RestoreDecisions }): Promise<void>;
  /** Waits until the replica (by its own address) says that it is healthy, at most policy.healthSeconds. */
  waitHealthy(step: Step & { decisions: RestoreDecisions; replica: Replica }): Promise<void>;
  setReadOnly(step: Step & { readOnly: boolean }): Promise<void>;
  /** Records read-only mode and the crons that delete, which came with the metadata or with the vendor's installation, before either is changed. */
  recordHold(step: Step & { decisions: RestoreDecisions }): Promise<{ held: SavedCron[] }>;
  /** Disables just the recorded crons: they wait for the release. */
  holdDeletions(step: Step & { held: SavedCron[] }): Promise<void>;
  /** Warnings instead of errors. */
  updateVulnerabilityDatabase(step: Step & { decisions: RestoreDecisions }): Promise<{ warnings: string[]; note: string }>;
  /** Through the external URL: tags, repositories, permissions, settings, certificate against the backup; a sample of every repository pulled by digest. What is found is answered; only what keeps us from looking is thrown. */
  confirmRestore(step: Step & { decisions: RestoreDecisions }): Promise<Confirmed>;
  /** The vendor's `join`; joined already is success. */
  joinReplica(step: Step & { decisions: RestoreDecisions; replica: Replica }): Promise<void>;
  /** Crons of the manifest, then those that were held and are not in it, put back (those that exist already stand). */
  restoreCrons(step: Step & { decisions: RestoreDecisions; held: SavedCron[] }): Promise<ThawResult>;
  /** Fenced hosts that are back: sentences for the report. */
  reportReturned(step: Step & { decisions: RestoreDecisions }): Promise<{ warnings: string[] }>;
}

export interface VerifyActivities {
  /** Looks at a sealed backup, keeps the verdict in the vault, and returns it with its first findings. Damage is a finding, not an error. */
  verifyBackup(step: Step & { backup: string; level: VerifyLevel; part?: VerifyPart; withoutKeys: boolean; by: string }): Promise<VerifyResult>;
}

export interface RetentionActivities {
  /** Step 12; also `prune`. Throws Refused when the clocks of worker and vault disagree. */
  prune(step: Step & { dryRun: boolean }): Promise<PruneResult>;
  /** What giving up one backup means (`everywhere`: in the copies as well), and whether people have to agree. Throws NotFound. */
  planForget(step: Step & { backup: string; everywhere: boolean }): Promise<ForgetPlan>;
  /** Marks it in one vault; it goes when the hold is over. Throws Refused when the clocks of worker and vault disagree. */
  forgetBackup(step: Step & { backup: string; by: string; why: string; approved: boolean }): Promise<ForgottenIn>;
  /** Undo of `forgetBackup`, as long as the backup stands there or in another vault that a copy can bring it from. */
  rememberBackup(step: Step & { backup: string }): Promise<ForgottenIn>;
}

export interface CopyActivities {
  /** Fills one vault from another with whole backups. Damage is a finding; throws Refused when both are the same vault, NotFound when `backup` is not in `from`. */
  copyBackups(step: Step & { from: string; to: string; backup?: string; by: string }): Promise<CopiedTo>;
}

/** What drydock.yaml says about a cluster and workflows must know. */
export interface Policy {
  approvers: string[];
  releaseGate: boolean;
  verify: VerifyLevel | 'off';
  prunes: boolean;
  vault: string;
  copies: string[];
  /** Seconds for which putting something back may fail before it is a warning, and after which it is given up. */
  putBack: { warnAfter: number; giveUpAfter: number };
}

/** Throws InvalidInput for an unknown cluster. */
export interface PolicyActivities {
  readPolicy(step: Pick<Step, 'cluster'>): Promise<Policy>;
}

export interface ReconcileActivities {
  /** Ends a lock whose holder is over, so that nobody is kept out for ever. Whether it is free now. */
  freeLock(step: Pick<Step, 'cluster'> & { lock: string }): Promise<{ isFree: boolean }>;
  /** What stands recorded of this cluster, in every place that can be read. `notes`: sentences on those that cannot. */
  listChanges(step: Step): Promise<{ changes: Change[]; notes: string[] }>;
  /** Puts back what lies before a point of no return and ends its record; of what lies behind one it says what state that is and what to do. */
  putBack(step: Step & { change: Change }): Promise<ThawResult>;
  /** Containers of Drydock that no run needs any more. */
  sweepContainers(step: Step): Promise<ThawResult>;
  /** Ends the records of an unfinished restore without changing the registry. Throws NotFound when there is none of that name. */
  endRestore(step: Step & { restore: string }): Promise<ThawResult>;
}

export type Activities = ReconcileActivities & BackupActivities & RestoreActivities & PolicyActivities & VerifyActivities & RetentionActivities & CopyActivities;
