/** One vault being filled from another: what stands where, what moved, and what was found. */
import { copyObject, digestOf, hasDigest, isOfSource, ofSource, type ObjectRecord } from '../../adapters/vault/copy-object';
import type { FullPicture } from '../../adapters/vault/picture';
import type { RateLimit } from '../../adapters/stream/rate-limit';
import type { Vault } from '../../adapters/vault/vault';
import type { CopyFinding } from '../../domain/copy';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { Elsewhere } from '../intact';
import type { Progress } from '../restore/progress';
import { isDamage } from '../verify/files';
import { limitOf } from '../reading';
import type { SealedRecord } from './records';
import { Tally } from './tally';

export type Files = Map<string, number>;

export class Transfer {
  readonly findings: CopyFinding[] = [];
  readonly notes: string[] = [];
  readonly tally: Tally;
  private readonly limits: { limit?: RateLimit; backLimit?: RateLimit };
  private readonly elsewhere: Elsewhere;

  private constructor(
    readonly from: Cluster,
    readonly to: Cluster,
    /** Sizes by name, of segments and backups. */
    readonly here: Files,
    readonly there: Files,
    /** Segments that a sealed backup in `to` names. */
    readonly relied: ReadonlySet<string>,
    readonly progress: Progress,
  ) {
    this.elsewhere = new Elsewhere(from);
    this.tally = new Tally(progress, to.vaultName);
    // The two ways of a line are held to the same rate, each for itself.
    const [limit, backLimit] = [limitOf(from.config.policy), limitOf(from.config.policy)];
    this.limits = { ...(limit ? { limit } : {}), ...(backLimit ? { backLimit } : {}) };
  }

  static async open(from: Cluster, to: Cluster, target: FullPicture, progress: Progress): Promise<Transfer> {
    const relied = new Set<string>();
    for (const { segments } of target.sealed) for (const segment of segments) relied.add(segment);
    return new Transfer(from, to, await filesOf(from), await filesOf(to), relied, progress);
  }

  /** Bytes of these backups that are not in `to`. */
  lacking(backups: { id: string; segments: readonly string[] }[]): number {
    const names = new Set(backups.flatMap(({ id, segments }) => this.namesOf(id, segments)));
    let bytes = 0;
    for (const name of names) if (!this.there.has(name)) bytes += this.here.get(name) ?? 0;
    return bytes;
  }

  /** What belongs to a backup in `from` (or in `to`), session keys that were added later included; tars before indexes. */
  namesOf(id: string, segments: readonly string[], side: 'here' | 'there' = 'here'): string[] {
    const owners = this.byOwner(side);
    return [...segments.flatMap((segment) => owners.get(segment) ?? []), ...(owners.get(`${vaultPaths.backup(this.from.name, id)}/`) ?? [])];
  }

  /**
   * Brings one object over; what stands there unsealed is used only after it was hashed. True when it is there as recorded. Damage in `from` is a
   * finding; a vault that does not answer, and whatever `to` says, is thrown on.
   */
  async bring(record: ObjectRecord, of: { backupId: string; segment?: string }): Promise<boolean> {
    const { name } = record;
    try {
      if (this.there.has(name)) {
        if (await hasDigest(this.to.vault, await this.complete(record), this.to.signal, this.limits.backLimit)) return true;
        if (of.segment !== undefined && this.relied.has(of.segment)) {
          // A damaged segment still holds whole blobs: it is never thrown away where something sealed relies on it.
          await this.found(record, this.to.vaultName, `${name} is damaged`, of);
          return false;
        }
        await this.to.vault.remove(name);
        this.there.delete(name);
      }
      const copied = await copyObject(this.from.vault, this.to.vault, record, { ...this.limits, signal: this.to.signal, onBytes: (moved) => this.tally.moved(moved) });
      this.there.set(name, copied.bytes);
      if (copied.moved) this.tally.objectDone();
      return true;
    } catch (error) {
      if (!isOfSource(error) || !isDamage(error)) throw error;
      // A backup that is being removed loses its files one by one: that is no damage.
      if (!(await this.isSealedHere(of.backupId))) throw new Vanished();
      await this.found(record, this.from.vaultName, error.message, of);
      return false;
    }
  }

  /** What nothing records must be there as it is in `from`. */
  private async complete({ name, bytes, sha256 }: ObjectRecord): Promise<SealedRecord> {
    return bytes !== undefined && sha256 !== undefined ? { name, bytes, sha256 } : { name, ...(await ofSource(digestOf(this.from.vault, name, this.from.signal))) };
  }

  async isSealedHere(id: string): Promise<boolean> {
    return (await this.from.vault.stat(vaultPaths.manifest(this.from.name, id))) !== null;
  }

  async found({ name, bytes, sha256 }: ObjectRecord, vault: string, what: string, { backupId, segment }: { backupId: string; segment?: string }): Promise<void> {
    const sealed: SealedRecord | null = bytes === undefined || sha256 === undefined ? null : { name, bytes, sha256 };
    const intactIn = sealed === null ? null : await this.intact(sealed, vault);
    this.findings.push({ backupId, segment: segment ?? null, file: name, vault, what, intactIn });
  }

  private async intact(record: SealedRecord, damagedIn: string): Promise<string | null> {
    for (const { vaultName, vault, signal } of [this.from, this.to]) {
      if (vaultName !== damagedIn && (await hasDigest(vault, record, signal))) return vaultName;
    }
    const other = await this.elsewhere.find(record);
    return other === damagedIn ? null : other;
  }

  /** As they stood when both vaults were listed. */
  private readonly owners: { here?: Map<string, string[]>; there?: Map<string, string[]> } = {};

  private byOwner(side: 'here' | 'there'): Map<string, string[]> {
    return (this.owners[side] ??= groupByOwner(this.from.name, this[side]));
  }
}

/** The backup went from the source while it was copied. */
export class Vanished extends Error {
  override readonly name = 'Vanished';
}

/** Lifts the marks of a backup or segment that is relied on again. */
export async function liftMarks({ vault, name }: Cluster, id: string): Promise<number> {
  const marks = await namesUnder(vault, `${vaultPaths.tombstones(name)}${id}.`);
  for (const mark of marks) await vault.remove(mark);
  return marks.length;
}

export async function namesUnder(vault: Vault, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of vault.list(prefix)) names.push(name);
  return names;
}

async function filesOf({ vault, name, signal }: Cluster): Promise<Files> {
  const files: Files = new Map();
  for (const prefix of [vaultPaths.segments(name), vaultPaths.backups(name)]) {
    for await (const entry of vault.list(prefix)) {
      signal?.throwIfAborted();
      files.set(entry.name, entry.size);
    }
  }
  return files;
}

/** Names by the segment, or the folder, that they belong to. */
function groupByOwner(cluster: string, files: Files): Map<string, string[]> {
  const owners = new Map<string, string[]>();
  const segments = vaultPaths.segments(cluster);
  for (const name of files.keys()) {
    const owner = name.startsWith(segments) ? name.slice(segments.length).split('.', 1)[0]! : name.slice(0, name.lastIndexOf('/') + 1);
    const known = owners.get(owner);
    if (known) known.push(name);
    else owners.set(owner, [name]);
  }
  const rank = (name: string): number => (name.endsWith('.index') ? 2 : name.endsWith('.keys') ? 1 : 0);
  for (const names of owners.values()) names.sort((a, b) => rank(a) - rank(b));
  return owners;
}
