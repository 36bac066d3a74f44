/** The backup that is restored: its manifest, checked, and its lists. */
import { createHash } from 'node:crypto';
import { readJsonLines } from '../../adapters/vault/json-lines';
import { readManifest } from '../../adapters/vault/manifest-file';
import { refuseNewer, refuseNone } from '../../adapters/vault/vault-file';
import { backupIdSchema } from '../../domain/contract';
import { DrydockError, noSuch, type ErrorKind } from '../../domain/errors';
import { parseBlobPath } from '../../domain/layout';
import { blobLineSchema, tagLineSchema, type BlobLine, type Manifest, type TagLine } from '../../domain/manifest';
import { unknownNeeded } from '../../domain/manifest-artifacts';
import { parseNote, type Note } from '../../domain/notes';
import type { RestoreDecisions } from '../../domain/plan';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';

export interface SealedBackup {
  manifest: Manifest;
  /** Hex, of the manifest's bytes. */
  sha256: string;
  /** The manifest's bytes: what a signature is about. */
  content: Buffer;
}

/** What says of a manifest that it is damaged, and not only out of reach. */
const UNREADABLE: ReadonlySet<ErrorKind> = new Set(['IntegrityMismatch', 'Refused']);

/** `latest` is the newest complete backup of the cluster. Throws NotFound (no such backup, or one without a seal), IntegrityMismatch, VersionMismatch (the vault is of a newer format). */
export async function readBackup(cluster: Cluster, backup: string): Promise<SealedBackup> {
  await refuseNewer(cluster.vault);
  return backup === 'latest' ? readLatest(cluster) : readSealed(cluster, backup);
}

/** The backup that was decided on; another manifest under its id is refused. */
export async function readDecided(cluster: Cluster, decisions: RestoreDecisions): Promise<Manifest> {
  const { manifest, sha256 } = await readSealed(cluster, decisions.backupId);
  refuseUnknown(manifest);
  if (sha256 === decisions.manifestSha256) return manifest;
  throw new DrydockError('IntegrityMismatch', `the manifest of backup ${decisions.backupId} is not the one that the plan was made with`, { remedy: 'look at who changed the vault, then start the restore again' });
}

/** A restore that left out what it needs would bring back less than was backed up, and say nothing of it. Throws VersionMismatch. */
export function refuseUnknown(manifest: Manifest): void {
  const unknown = unknownNeeded(manifest);
  if (unknown.length === 0) return;
  throw new DrydockError('VersionMismatch', `the backup ${manifest.backupId} holds ${unknown.join(', ')}, which a restore needs and this version of Drydock does not know`, {
    remedy: `restore it with the version that made it (${manifest.tool.version}) or a newer one, or follow its RESTORE.md`,
  });
}

async function readSealed(cluster: Cluster, id: string): Promise<SealedBackup> {
  const name = vaultPaths.manifest(cluster.name, id);
  try {
    if ((await cluster.vault.stat(name)) === null) throw await notThere(cluster, id);
    const { manifest, content } = await readManifest(cluster.vault, cluster.name, id);
    return { manifest, sha256: createHash('sha256').update(content).digest('hex'), content };
  } catch (error) {
    throw error instanceof DrydockError && UNREADABLE.has(error.kind) ? withBackupId(error, id) : error;
  }
}

function withBackupId(error: DrydockError, backupId: string): DrydockError {
  const { kind, message, remedy, details, cause } = error;
  return new DrydockError(kind, message, { ...(remedy === undefined ? {} : { remedy }), details: { ...details, unreadable: backupId }, cause });
}

/** The backup whose manifest an error of `readBackup` calls damaged; null for any other error. */
export function unreadableBackup(error: unknown): string | null {
  const id = error instanceof DrydockError ? error.details?.unreadable : undefined;
  return typeof id === 'string' ? id : null;
}

async function notThere(cluster: Cluster, id: string): Promise<DrydockError> {
  const remedy = `choose one of \`drydock list\` (cluster ${cluster.name})`;
  for await (const entry of cluster.vault.list(`${vaultPaths.backup(cluster.name, id)}/`)) {
    if (entry.size >= 0) return noSuch(`the backup ${id} has no seal: it was never finished`, { remedy });
  }
  await refuseNone(cluster.vault);
  return noSuch(`there is no backup ${id} of ${cluster.name} in ${cluster.vault.description}`, { remedy });
}

async function readLatest(cluster: Cluster): Promise<SealedBackup> {
  const prefix = vaultPaths.backups(cluster.name);
  const ids: string[] = [];
  for await (const { name } of cluster.vault.list(prefix)) {
    const [id = '', file] = name.slice(prefix.length).split('/');
    if (file === 'manifest.json' && backupIdSchema.safeParse(id).success) ids.push(id);
  }
  // Ids begin with their time.
  for (const id of ids.sort().reverse()) {
    const backup = await readSealed(cluster, id);
    if (backup.manifest.status === 'complete') return backup;
  }
  await refuseNone(cluster.vault);
  throw noSuch(`there is no complete backup of ${cluster.name} in ${cluster.vault.description}`, { remedy: 'make one, or name an incomplete one by its id' });
}

/** `tags.jsonl`, row by row. */
export async function* readTags(cluster: Cluster, manifest: Manifest): AsyncGenerator<TagLine> {
  for await (const row of readJsonLines(cluster.vault, manifest.artifacts.tags, await cluster.decryptionKeys(), { signal: cluster.signal })) {
    const parsed = tagLineSchema.safeParse(row);
    if (!parsed.success) throw damaged(manifest.artifacts.tags.name);
    yield parsed.data;
  }
}

/** `blobs.jsonl`, row by row: what has to lie in the registry volume, and where it is stored. Paths are those of blobs, so none leads out of a volume. */
export async function* readBlobList(cluster: Cluster, manifest: Manifest): AsyncGenerator<BlobLine> {
  for await (const row of readJsonLines(cluster.vault, manifest.artifacts.blobs, await cluster.decryptionKeys(), { signal: cluster.signal })) {
    const parsed = blobLineSchema.safeParse(row);
    if (!parsed.success || parseBlobPath(parsed.data.path) === null) throw damaged(manifest.artifacts.blobs.name);
    yield parsed.data;
  }
}

/** `notes.jsonl`, row by row; kinds that a later version adds are passed by. */
export async function* readNotes(cluster: Cluster, { artifacts: { notes } }: Manifest): AsyncGenerator<Note> {
  for await (const row of readJsonLines(cluster.vault, notes, await cluster.decryptionKeys(), { signal: cluster.signal })) {
    const note = parseNote(row);
    if (note === undefined) throw damaged(notes.name);
    if (note !== null) yield note;
  }
}

function damaged(name: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the list ${name} has a line of an unknown form`, { remedy: 'use another backup' });
}
