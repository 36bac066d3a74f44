/** Whether every name in a vault is accounted for, and all that sealed backups name is there. Reads manifests and small records, no segment. */
import type { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { artifactsOf, fileOf } from '../../domain/manifest-artifacts';
import { tombstoneSchema } from '../../domain/tombstone';
import { vaultPaths } from '../../domain/vault-format';
import { verdictSchema } from '../../domain/verdict';
import { readAhead } from '../stream/at-once';
import { takeInventory, type ClusterFiles } from './inventory';
import { tryManifest } from './read-manifests';
import { segmentsOf } from './segment-list';
import type { Vault, VaultEntry } from './vault';

/** By the kind that stands in the name of a record. */
function whatIsRecorded(file: string, cluster: string): string {
  if (/^restore-/.test(file)) return `a restore runs, or has ended and a place could not be reached, or did not come to its end: \`drydock reconcile ${cluster}\` says which, and what to do`;
  return `an operation keeps here what it has changed: it runs, or \`drydock reconcile ${cluster}\` puts it back or says what to do`;
}

/** Something that should not be so. */
export interface AuditFinding {
  cluster: string | null;
  name: string;
  what: string;
}
/** Nothing relies on it: it is being written, or `prune` takes it away when its time has come. */
export interface Leftover extends AuditFinding {
  bytes: number;
  /** By the vault's clock. */
  ageSeconds: number;
}

export interface Audit {
  names: number;
  bytes: number;
  /** Backups by cluster. */
  clusters: Record<string, number>;
  findings: AuditFinding[];
  leftovers: Leftover[];
}

const READS_AHEAD = 16;
const SMALL_MAX_BYTES = 64 * 1024;
const BESIDE = ['SHA256SUMS', 'RESTORE.md'] as const;

export async function auditVault(vault: Vault, signal?: AbortSignal): Promise<Audit> {
  const inventory = await takeInventory(vault, signal);
  const now = await vault.clock();
  const audit: Audit = { names: inventory.names, bytes: inventory.bytes, clusters: {}, findings: [], leftovers: [] };
  audit.findings.push(...inventory.unknown.map(({ name }) => ({ cluster: null, name, what: 'this name is not one of a vault' })));
  for (const [cluster, files] of inventory.clusters) {
    const look = new ClusterAudit(vault, cluster, files, audit, now);
    await look.backups(signal);
    look.segments();
    await look.records(signal);
  }
  return audit;
}

class ClusterAudit {
  /** Named by sealed backups. */
  private readonly needed = new Set<string>();
  private isBlind = false;
  private sealed = 0;

  constructor(
    private readonly vault: Vault,
    private readonly cluster: string,
    private readonly files: ClusterFiles,
    private readonly audit: Audit,
    private readonly now: Date,
  ) {}

  async backups(signal?: AbortSignal): Promise<void> {
    const read = async ([id, folder]: [string, Map<string, VaultEntry>]) => ({ id, folder, manifest: folder.has('manifest.json') ? await tryManifest(this.vault, this.cluster, id) : null });
    for await (const { id, folder, manifest } of readAhead(this.files.backups, READS_AHEAD, read)) {
      signal?.throwIfAborted();
      if (!folder.has('manifest.json')) {
        for (const entry of folder.values()) this.left(entry, 'its backup has no seal: it is being made, or was never finished');
        continue;
      }
      if (manifest === null) continue;
      this.sealed += 1;
      if (typeof manifest !== 'string') {
        await this.judge(id, manifest, folder, signal);
        continue;
      }
      // Nobody knows what it needs.
      this.isBlind = true;
      this.found(vaultPaths.manifest(this.cluster, id), manifest);
    }
    this.audit.clusters[this.cluster] = this.sealed;
  }

  segments(): void {
    for (const [id, parts] of this.files.segments) {
      const [tar, index] = [parts.get('tar.gpg'), parts.get('index')];
      if (this.needed.has(id)) continue;
      if (index && !tar) this.found(index.name, 'it is the index of a segment that is not there');
      const why = !index ? 'the segment has no index: it is being written, or was never finished' : 'no sealed backup names the segment';
      if (!this.isBlind || !index) for (const entry of parts.values()) this.left(entry, why);
    }
  }

  async records(signal?: AbortSignal): Promise<void> {
    const { backups, segments, verdicts, tombstones, operations } = this.files;
    for (const { id, entry } of verdicts) {
      signal?.throwIfAborted();
      if (!backups.has(id)) this.left(entry, 'its backup is gone');
      else if (entry.name.endsWith('.json')) await this.readable(entry, verdictSchema, 'verdict');
    }
    for (const { id, entry } of tombstones) {
      signal?.throwIfAborted();
      if (!backups.has(id) && !segments.has(id)) this.left(entry, 'what it marks is gone; a mark by `drydock forget` stays as long as another vault of the cluster holds the backup');
      else await this.readable(entry, tombstoneSchema, 'tombstone');
    }
    for (const entry of operations) this.left(entry, whatIsRecorded(entry.name.slice(vaultPaths.operations(this.cluster).length), this.cluster));
  }

  /** All that the manifest names is there with its size. */
  private async judge(id: string, manifest: Manifest, folder: Map<string, VaultEntry>, signal?: AbortSignal): Promise<void> {
    const own = new Set<string>(['manifest.json', 'manifest.json.asc', ...BESIDE]);
    for (const artifact of artifactsOf(manifest)) {
      const file = fileOf(artifact);
      own.add(file);
      this.isThere(folder.get(file), artifact.name, artifact.bytes);
    }
    for (const file of BESIDE) {
      const name = vaultPaths.artifact(this.cluster, id, file);
      if (!folder.has(file)) this.found(name, 'it is gone');
      else this.isThere(folder.get(file), name, manifest.beside[file].bytes);
    }
    for (const [file, entry] of folder) if (!own.has(file) && !file.endsWith('.keys')) this.left(entry, 'its backup does not name it');
    for (const { segment, bytes, index, wrapped } of await this.segmentsOf(id, manifest, folder, signal)) {
      if (this.needed.has(segment)) continue;
      this.needed.add(segment);
      const parts = this.files.segments.get(segment);
      const name = vaultPaths.segment(this.cluster, segment);
      this.isThere(parts?.get('tar.gpg'), name, bytes);
      this.isThere(parts?.get('index'), vaultPaths.segmentIndex(this.cluster, segment), index.bytes);
      for (const key of wrapped?.keys ?? []) this.isThere(parts?.get(`${key.recipient.replace(':', '-')}.keys`), vaultPaths.wrappedKeys(name, key.recipient), key.bytes);
    }
  }

  /** None, with a finding, where their list cannot be read; nobody knows then what the backup needs. */
  private async segmentsOf(id: string, manifest: Manifest, folder: Map<string, VaultEntry>, signal?: AbortSignal): Promise<SegmentRef[]> {
    try {
      return await segmentsOf(this.vault, manifest, signal);
    } catch (error) {
      if (!(error instanceof DrydockError) || error.retryable) throw error;
      // Removed by another hand since it was listed.
      if ((await this.vault.stat(vaultPaths.manifest(this.cluster, id))) === null) return [];
      this.isBlind = true;
      const { name, bytes } = manifest.artifacts.segments;
      if (folder.get(fileOf({ name }))?.size === bytes) this.found(name, error.message);
      return [];
    }
  }

  private isThere(entry: VaultEntry | undefined, name: string, bytes: number): void {
    if (!entry) this.found(name, 'a sealed backup needs it, and it is gone');
    else if (entry.size !== bytes) this.found(name, `it has ${entry.size} bytes instead of ${bytes}`);
  }

  private async readable(entry: VaultEntry, schema: z.ZodType, what: string): Promise<void> {
    try {
      schema.parse(JSON.parse((await this.vault.readAll(entry.name, SMALL_MAX_BYTES)).toString('utf8')));
    } catch (error) {
      if (error instanceof DrydockError && error.retryable) throw error;
      if (!(error instanceof DrydockError && error.kind === 'NotFound')) this.found(entry.name, `it is no ${what} of a form that this version knows`);
    }
  }

  private found(name: string, what: string): void {
    this.audit.findings.push({ cluster: this.cluster, name, what });
  }

  private left({ name, size, modified }: VaultEntry, what: string): void {
    this.audit.leftovers.push({ cluster: this.cluster, name, what, bytes: size, ageSeconds: Math.max(0, Math.round((this.now.getTime() - modified.getTime()) / 1000)) });
  }
}
