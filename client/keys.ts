/** Who can open the backups of a cluster, and giving today's recipients access to old ones. Reads and writes the vault; needs no Temporal. */
import { canDecrypt, loadDecryptionKeys, loadEncryptionKeys } from '../adapters/openpgp/keyring';
import { loadSigningKey, loadTrustedSigners } from '../adapters/openpgp/sign';
import { Access } from '../adapters/vault/access';
import { refuseOther } from '../adapters/vault/known-vaults';
import { readManifest } from '../adapters/vault/manifest-file';
import { segmentsOf } from '../adapters/vault/segment-list';
import type { Vault } from '../adapters/vault/vault';
import { DrydockError } from '../domain/errors';
import type { Manifest, SegmentRef } from '../domain/manifest';
import { artifactsOf } from '../domain/manifest-artifacts';
import { vaultPaths } from '../domain/vault-format';
import { clusterOf, type LoadedConfig } from './session';
import { listBackups, withVault } from './vaults';

export interface BackupAccess {
  id: string;
  sealedAt: string;
  /** Recipients who can open all of it. */
  opensWith: string[];
  /** Today's recipients who cannot open all of it. */
  lacks: string[];
  /** Whether a key at hand here opens all of it. */
  opensHere: boolean;
}

export interface RotateReport {
  cluster: string;
  /** For whom new backups are written. */
  recipients: string[];
  /** Fingerprint of the key that signs new manifests. */
  signsWith: string | null;
  /** Newest first. */
  backups: BackupAccess[];
  /** Backups whose manifest cannot be read. */
  unreadable: string[];
  /** Files whose session keys were wrapped anew. */
  rewrapped: number;
  /** One sentence for each file of session keys that is damaged. */
  warnings: string[];
}

export interface RotateOptions {
  rewrap: boolean;
  onProgress?: (filesDone: number, filesTotal: number) => void;
}

/**
 * Checks the configured keys, and states for each backup which keys open it and who of today's recipients cannot. With `rewrap`, session keys
 * are wrapped for those, where a key at hand opens the file. Throws InvalidInput or AuthRejected for keys that cannot serve, Refused with `rewrap`
 * for another vault than was used before.
 */
export async function rotateKeys(local: LoadedConfig, cluster: string, options: RotateOptions): Promise<RotateReport> {
  const { encryption, vault: name } = clusterOf(local, cluster);
  const current = await loadEncryptionKeys(encryption);
  const keys = await loadDecryptionKeys(encryption);
  const signer = await loadSigningKey(encryption);
  await loadTrustedSigners(encryption);
  if (options.rewrap && !canDecrypt(keys)) {
    throw new DrydockError('Refused', 'no passphrase and no private key is configured here, so no session key can be wrapped anew', {
      remedy: 'run it where encryption.privateKeys or encryption.formerPassphrases name a key that opens the old backups',
    });
  }
  const entries = await listBackups(local, cluster);
  return withVault(local, cluster, async (vault) => {
    if (options.rewrap) await refuseOther({ vault, name, stateDir: local.config.stateDir });
    const backups: Backup[] = [];
    const unreadable: string[] = [];
    const artifacts: Access[] = [];
    const segments = await Access.load(vault, vaultPaths.segments(cluster), current, keys);
    for (const { id } of entries) {
      const manifest = await readSealed(vault, cluster, id);
      if (!manifest) unreadable.push(id);
      else {
        const own = await Access.load(vault, `${vaultPaths.backup(cluster, id)}/`, current, keys);
        artifacts.push(own);
        backups.push({ manifest, files: filesOf(cluster, manifest, await segmentsOf(vault, manifest), segments, own) });
      }
    }
    const rewrapped = options.rewrap ? await rewrap(backups, options.onProgress) : 0;
    return { cluster, recipients: current.recipients, signsWith: signer?.getFingerprint().toUpperCase() ?? null, backups: backups.map((backup) => accessOf(backup, current.recipients)), unreadable, rewrapped, warnings: [...new Set([segments, ...artifacts].flatMap(({ warnings }) => warnings))] };
  });
}

interface EncryptedFile {
  name: string;
  writtenFor: string[];
  access: Access;
}

interface Backup {
  manifest: Manifest;
  files: EncryptedFile[];
}

function filesOf(cluster: string, manifest: Manifest, refs: readonly SegmentRef[], segments: Access, artifacts: Access): EncryptedFile[] {
  return [
    ...artifactsOf(manifest).flatMap(({ name, recipients }) => (recipients === null ? [] : [{ name, writtenFor: recipients, access: artifacts }])),
    ...refs.map(({ segment, recipients, wrapped }) => {
      // Those who were added count only as long as their files are there.
      const added = new Set(wrapped?.keys.map(({ recipient }) => recipient));
      return { name: vaultPaths.segment(cluster, segment), writtenFor: recipients.filter((recipient) => !added.has(recipient)), access: segments };
    }),
  ];
}

/** Segments are shared by backups: each file once. Returns how many got new session key packets. */
async function rewrap(backups: Backup[], onProgress?: RotateOptions['onProgress']): Promise<number> {
  const files = new Map(backups.flatMap((backup) => backup.files.map((file) => [file.name, file])));
  let done = 0;
  let rewrapped = 0;
  for (const { name, writtenFor, access } of files.values()) {
    if (access.missingFrom(name, writtenFor).length > 0 && (await access.cover(name, writtenFor).catch(unlessDamaged))) rewrapped += 1;
    done += 1;
    onProgress?.(done, files.size);
  }
  return rewrapped;
}

/** A damaged or missing file keeps its recipients; verify names it. */
function unlessDamaged(error: unknown): false {
  if (error instanceof DrydockError && (error.kind === 'IntegrityMismatch' || error.kind === 'NotFound')) return false;
  throw error;
}

function accessOf({ manifest, files }: Backup, recipients: string[]): BackupAccess {
  const able = files.map(({ name, writtenFor, access }) => new Set(access.recipientsOf(name, writtenFor)));
  const opensWith = [...(able[0] ?? [])].filter((recipient) => able.every((set) => set.has(recipient))).sort();
  return {
    id: manifest.backupId,
    sealedAt: manifest.sealedAt,
    opensWith,
    lacks: recipients.filter((recipient) => !opensWith.includes(recipient)),
    opensHere: files.every(({ name, writtenFor, access }) => access.canOpen(name, writtenFor)),
  };
}

async function readSealed(vault: Vault, cluster: string, id: string): Promise<Manifest | null> {
  try {
    return (await readManifest(vault, cluster, id)).manifest;
  } catch (error) {
    if (error instanceof DrydockError && !error.retryable) return null;
    throw error;
  }
}
