/** What the vaults hold, read without Temporal: the vault is the truth about backups. */
import { z } from 'zod';
import { openVault } from '../adapters/vault/open';
import type { Vault } from '../adapters/vault/vault';
import { backupIdSchema } from '../domain/contract';
import { DrydockError } from '../domain/errors';
import { vaultPaths } from '../domain/vault-format';
import type { LoadedConfig } from './session';
import { clusterOf } from './session';

export interface BackupEntry {
  cluster: string;
  id: string;
  /** `unreadable`: its manifest cannot be read by this version; see `note`. */
  status: 'complete' | 'incomplete' | 'unreadable';
  sealedAt: string | null;
  note?: string;
}

/** The part of a manifest that lists show; the whole is checked by a restore. */
const manifestHead = z.looseObject({ backupId: backupIdSchema, status: z.enum(['complete', 'incomplete']), sealedAt: z.string() });

const MANIFEST_MAX_BYTES = 16 * 1024 * 1024;

/** Backups of one cluster, newest first; none where the vault itself is not there yet, which its first backup makes. Throws VaultUnavailable. */
export async function listBackups(local: LoadedConfig, cluster: string): Promise<BackupEntry[]> {
  const vault = vaultOf(local, cluster);
  const ids = (await ifThere(sealedIds(vault, cluster))) ?? [];
  const entries = await Promise.all(ids.map((id) => readEntry(vault, cluster, id)));
  return entries.sort((a, b) => b.id.localeCompare(a.id));
}

/** A sentence when the cluster's vault is not there yet: right before the first backup, and a sign of a missing mount after it. */
export async function newVaultNote(local: LoadedConfig, cluster: string): Promise<string | null> {
  const vault = vaultOf(local, cluster);
  if ((await ifThere(vault.stat(vaultPaths.vaultFile))) !== undefined) return null;
  return `the vault (${vault.description}) does not exist yet: the first backup makes it; if it held backups before, look at its mount`;
}

/** The newest complete backup, which is what `latest` means. */
export function latestComplete(entries: BackupEntry[]): BackupEntry | undefined {
  return entries.find((entry) => entry.status === 'complete');
}

/** The manifest of a backup, from whichever cluster has it. Throws NotFound. */
export async function readManifest(local: LoadedConfig, id: string): Promise<{ cluster: string; manifest: Record<string, unknown> }> {
  for (const cluster of Object.keys(local.config.clusters)) {
    const vault = vaultOf(local, cluster);
    if (!(await ifThere(vault.stat(vaultPaths.manifest(cluster, id))))) continue;
    return { cluster, manifest: await parseManifest(vault, cluster, id) };
  }
  throw new DrydockError('NotFound', `there is no backup "${id}" in the vaults of ${local.path}`, { remedy: 'see `drydock list`' });
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

async function sealedIds(vault: Vault, cluster: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const entry of vault.list(vaultPaths.backups(cluster))) {
    const id = entry.name.slice(vaultPaths.backups(cluster).length).split('/', 1)[0] ?? '';
    // A folder without a manifest is an unfinished backup: it does not exist.
    if (entry.name === vaultPaths.manifest(cluster, id)) ids.push(id);
  }
  return ids;
}

async function readEntry(vault: Vault, cluster: string, id: string): Promise<BackupEntry> {
  try {
    const head = manifestHead.parse(await parseManifest(vault, cluster, id));
    return { cluster, id, status: head.status, sealedAt: head.sealedAt };
  } catch (error) {
    return { cluster, id, status: 'unreadable', sealedAt: null, note: error instanceof DrydockError ? error.message : 'its manifest is not of a form that this version knows' };
  }
}

async function parseManifest(vault: Vault, cluster: string, id: string): Promise<Record<string, unknown>> {
  const text = (await vault.readAll(vaultPaths.manifest(cluster, id), MANIFEST_MAX_BYTES)).toString('utf8');
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (cause) {
    throw new DrydockError('IntegrityMismatch', `the manifest of backup ${id} is not JSON`, { cause });
  }
}

function vaultOf(local: LoadedConfig, cluster: string): Vault {
  const name = clusterOf(local, cluster).vault;
  const settings = local.config.vaults[name];
  // loadConfig has refused a cluster whose vault is not there.
  if (!settings) throw new DrydockError('InvalidInput', `there is no vault "${name}" in ${local.path}`);
  return openVault(settings);
}
