/** What the vaults hold, read without Temporal: the vault is the truth about backups. */
import { z } from 'zod';
import { readManifestJson } from '../adapters/vault/manifest-file';
import { readGivenUp, type GivenUp } from '../adapters/vault/marks';
import { findOther } from '../adapters/vault/known-vaults';
import { openVault } from '../adapters/vault/open';
import { sealedIds } from '../adapters/vault/read-manifests';
import type { Vault } from '../adapters/vault/vault';
import { refuseNewer } from '../adapters/vault/vault-file';
import { readVerdicts } from '../adapters/vault/verdicts';
import type { VaultConfig } from '../domain/config';
import { backupIdSchema } from '../domain/contract';
import { after, toDuration } from '../domain/duration';
import { DrydockError, noSuch } from '../domain/errors';
import { vaultPaths } from '../domain/vault-format';
import { standingOf, type Verdict } from '../domain/verdict';
import type { LoadedConfig } from './session';
import { clusterOf } from './session';

export interface BackupEntry {
  cluster: string;
  id: string;
  /** `unreadable`: its manifest cannot be read by this version; see `note`. */
  status: 'complete' | 'incomplete' | 'unreadable';
  sealedAt: string | null;
  /** Images as they lie in the registry, and what this backup added to the vault, in bytes; null when not known. */
  repositories: number | null;
  tags: number | null;
  imageBytes: number | null;
  storedBytes: number | null;
  /** Missing parts of images that people have accepted. */
  acceptedGaps: number | null;
  /** The newest good verdict of the highest level. */
  verified: VerdictHead | null;
  /** A newer bad one that no good one has answered. */
  failed: VerdictHead | null;
  /** It is marked for removal, by `keep` or `drydock forget`: `removableFrom` is when a prune may remove it. */
  givenUp: { at: string; by: string; why: string; removableFrom: string } | null;
  /** Warnings of the run that made it, where there are any; their words stand in its encrypted notes. */
  warnings?: number;
  note?: string;
}

/** The part of a verdict that lists show. */
export interface VerdictHead {
  level: string;
  at: string;
  by: string;
  /** Bad verdicts only. */
  findings?: number;
  /** It was a drill. */
  drill?: boolean;
  /** Ciphertext alone was looked at. */
  withoutKeys?: boolean;
}

const count = z.number().nullish().catch(null);
/** The part of a manifest that lists show; the whole is checked by a restore. */
const manifestHead = z.looseObject({
  backupId: backupIdSchema,
  status: z.enum(['complete', 'incomplete']),
  sealedAt: z.string(),
  counts: z.looseObject({ repositories: count, tags: count, acceptedGaps: count, warnings: count }).nullish(),
  bytes: z.looseObject({ images: count, stored: count }).nullish(),
});
const NOT_KNOWN = { repositories: null, tags: null, imageBytes: null, storedBytes: null, acceptedGaps: null };

const AT_ONCE = 16;

/** Backups of one cluster, newest first; none where the vault itself is not there yet, which its first backup makes. Throws VaultUnavailable. */
export async function listBackups(local: LoadedConfig, cluster: string): Promise<BackupEntry[]> {
  return withVault(local, cluster, async (vault) => {
    const ids = (await ifThere(sealedIds(vault, cluster))) ?? [];
    if (ids.length === 0) return [];
    const records = await readRecords(local, vault, cluster, ids);
    const entries: BackupEntry[] = [];
    // A few at a time: a vault of years on a remote server has thousands.
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      entries.push(...(await Promise.all(ids.slice(at, at + AT_ONCE).map((id) => readEntry(vault, cluster, id, records)))));
    }
    return entries.sort((a, b) => b.id.localeCompare(a.id));
  });
}

/** A sentence when the cluster's vault is not there yet, or is another one than was used here before: a sign of a missing mount. */
export async function newVaultNote(local: LoadedConfig, cluster: string): Promise<string | null> {
  return withVault(local, cluster, async (vault) => {
    const other = await findOther({ vault, name: clusterOf(local, cluster).vault, stateDir: local.config.stateDir });
    if (other) return `${other.message}: ${other.remedy ?? ''}`;
    if ((await ifThere(vault.stat(vaultPaths.vaultFile))) !== undefined) return null;
    return `the vault (${vault.description}) does not exist yet: the first backup makes it; if it held backups before, look at its mount`;
  });
}

/** The newest complete backup, which is what `latest` means. */
export function latestComplete(entries: BackupEntry[]): BackupEntry | undefined {
  return entries.find((entry) => entry.status === 'complete');
}

/** The manifest of a backup, from whichever cluster has it, with what was found when it was verified. Throws NotFound. */
export async function readManifest(local: LoadedConfig, id: string): Promise<{ cluster: string; manifest: Record<string, unknown>; entry: BackupEntry }> {
  return firstWith(local, id, async (vault, cluster) => ({ cluster, manifest: await parseManifest(vault, cluster, id), entry: await readEntry(vault, cluster, id, await readRecords(local, vault, cluster, [id])) }));
}

/** The cluster whose vault holds this backup. Throws NotFound. */
export async function clusterOfBackup(local: LoadedConfig, id: string): Promise<string> {
  return firstWith(local, id, (_vault, cluster) => Promise.resolve(cluster));
}

/** A vault that cannot be looked into keeps nobody from what lies in another one; only where none has the backup is it to blame. */
async function firstWith<T>(local: LoadedConfig, id: string, look: (vault: Vault, cluster: string) => Promise<T>): Promise<T> {
  const errors: DrydockError[] = [];
  for (const cluster of Object.keys(local.config.clusters)) {
    try {
      const found = await withVault(local, cluster, async (vault) => ((await ifThere(vault.stat(vaultPaths.manifest(cluster, id)))) ? [await look(vault, cluster)] : []));
      if (found.length > 0) return found[0]!;
      const other = await withVault(local, cluster, (vault) => findOther({ vault, name: clusterOf(local, cluster).vault, stateDir: local.config.stateDir }));
      if (other) errors.push(other);
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
      errors.push(error);
    }
  }
  throw errors[0] ?? noBackup(local, id);
}

/** The cluster in one of whose vaults this backup stands, `vault` looked into first: where it was forgotten it may be gone already. Throws NotFound. */
export async function clusterOfForgotten(local: LoadedConfig, id: string, vault: string | undefined): Promise<string> {
  const copies = new Set(Object.values(local.config.clusters).flatMap((cluster) => cluster.copies));
  for (const name of new Set([vault, undefined, ...copies])) {
    const found = await clusterOfBackup(inVault(local, name), id).catch((error: unknown) => {
      if (error instanceof DrydockError && error.kind === 'NotFound') return null;
      throw error;
    });
    if (found !== null) return found;
  }
  throw noBackup(local, id);
}

function noBackup(local: LoadedConfig, id: string): DrydockError {
  return noSuch(`there is no backup "${id}" in the vaults of ${local.path}`, { remedy: 'see `drydock list`' });
}

/** Undefined where the vault itself is not there. */
async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return undefined;
    throw error;
  }
}

/** What the vault says of backups beside their manifests. */
interface Records {
  verdicts: Map<string, Verdict[]>;
  givenUp: Map<string, GivenUp>;
  /** How long what is given up stays. */
  hold: string;
}

async function readRecords(local: LoadedConfig, vault: Vault, cluster: string, ids: string[]): Promise<Records> {
  const [verdicts, givenUp] = await Promise.all([readVerdicts(vault, cluster, ids.length === 1 ? ids[0] : undefined), readGivenUp(vault, cluster, new Set(ids))]);
  return { verdicts, givenUp, hold: clusterOf(local, cluster).retention.hold };
}

async function readEntry(vault: Vault, cluster: string, id: string, records: Records): Promise<BackupEntry> {
  const { best, bad } = standingOf(records.verdicts.get(id) ?? []);
  const mark = records.givenUp.get(id);
  const judged = {
    verified: best ? headOf(best) : null, failed: bad ? headOf(bad) : null,
    givenUp: mark ? { at: mark.since.toISOString(), by: mark.by, why: mark.why, removableFrom: after(mark.since, toDuration(records.hold)).toISOString() } : null,
  };
  try {
    const { status, sealedAt, counts, bytes } = manifestHead.parse(await parseManifest(vault, cluster, id));
    return {
      cluster, id, status, sealedAt, ...judged,
      repositories: counts?.repositories ?? null, tags: counts?.tags ?? null, imageBytes: bytes?.images ?? null, storedBytes: bytes?.stored ?? null, acceptedGaps: counts?.acceptedGaps ?? null,
      ...(counts?.warnings ? { warnings: counts.warnings } : {}),
    };
  } catch (error) {
    if (error instanceof DrydockError && error.retryable) throw error;
    return { cluster, id, status: 'unreadable', sealedAt: null, ...NOT_KNOWN, ...judged, note: error instanceof DrydockError ? error.message : 'its manifest is not of a form that this version knows' };
  }
}

function headOf({ level, at, by, result, findings, drill, withKeys }: Verdict): VerdictHead {
  return { level, at, by, ...(result === 'bad' ? { findings } : {}), ...(drill === true ? { drill } : {}), ...(withKeys ? {} : { withoutKeys: true }) };
}

async function parseManifest(vault: Vault, cluster: string, id: string): Promise<Record<string, unknown>> {
  const parsed = z.record(z.string(), z.unknown()).safeParse((await readManifestJson(vault, cluster, id)).json);
  if (parsed.success) return parsed.data;
  throw new DrydockError('IntegrityMismatch', `the manifest of backup ${id} is no JSON object`, { remedy: 'use another backup' });
}

/** Opens the cluster's vault for one look and closes it whatever happens. Throws VersionMismatch for one of a newer format. */
export async function withVault<T>(local: LoadedConfig, cluster: string, look: (vault: Vault) => Promise<T>): Promise<T> {
  const vault = openVault(vaultNamed(local, clusterOf(local, cluster).vault));
  try {
    await refuseNewer(vault);
    return await look(vault);
  } finally {
    await vault.close();
  }
}

/** The settings of a vault. Throws InvalidInput for an unknown one. */
export function vaultNamed(local: LoadedConfig, name: string): VaultConfig {
  const { vaults } = local.config;
  const settings = Object.hasOwn(vaults, name) ? vaults[name] : undefined;
  if (settings) return settings;
  throw new DrydockError('InvalidInput', `there is no vault "${name}" in ${local.path}`, { remedy: `use one of: ${Object.keys(vaults).join(', ')}` });
}

/** The same configuration, in which every cluster is kept in this vault; unchanged without one. Throws InvalidInput for an unknown one. */
export function inVault(local: LoadedConfig, vault: string | undefined): LoadedConfig {
  if (vault === undefined) return local;
  vaultNamed(local, vault);
  const clusters = Object.fromEntries(Object.entries(local.config.clusters).map(([name, cluster]) => [name, { ...cluster, vault }]));
  return { ...local, config: { ...local.config, clusters } };
}
