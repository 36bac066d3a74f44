/**
 * Which segments of the vault a backup may build on: those that a sealed backup names, those that this run wrote to the end, and those whose ciphertext was hashed once
 * more. What an attempt left that was cut off is never taken as it lies, and what a verification found damaged is not taken at all.
 */
import { readBadSegments } from '../../adapters/vault/bad-segments';
import { sealedSegments } from '../../adapters/vault/picture';
import { SegmentLists } from '../../adapters/vault/segment-lists';
import { checkCiphertext } from '../../adapters/vault/segment-hash';
import { vaultPaths, type SegmentHeader } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { report } from '../pulse';
import { WORK, type WorkFiles } from './work-files';

/** `open`: no sealed backup names it, and it was not hashed yet. */
type Standing = 'good' | 'open' | 'bad';

interface Row {
  segment: string;
  is: Standing;
  /** Why it is not used: a sentence. */
  why?: string;
}

const REPORT_EVERY_BYTES = 64 << 20;

export class SegmentTrust {
  private readonly known = new Map<string, Row>();

  private constructor(
    private readonly cluster: Cluster,
    private readonly work: WorkFiles,
    /** By a verification: segment -> the backup that was verified. */
    private readonly bad: ReadonlyMap<string, string>,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Reads what earlier steps of this backup found out; manifests only while there are segments of which nothing is known, the newest first. */
  static async open(cluster: Cluster, work: WorkFiles, signal?: AbortSignal): Promise<SegmentTrust> {
    const trust = new SegmentTrust(cluster, work, await readBadSegments(cluster.vault, cluster.name), signal);
    for await (const row of work.appended<Row>(WORK.segments)) trust.known.set(row.segment, row);
    await trust.lookUp();
    return trust;
  }

  /** True for what may be used as it lies. */
  isGood(segment: string): boolean {
    return this.known.get(segment)?.is === 'good' && !this.bad.has(segment);
  }

  /** One sentence for each segment that was wanted and is not used. */
  get warnings(): string[] {
    return [...this.known.values()].flatMap(({ why }) => why ?? []);
  }

  /** What this run has just written. */
  async accept(segments: readonly string[]): Promise<void> {
    await this.record(segments.map((segment) => ({ segment, is: 'good' })));
  }

  /** Hashes the ciphertext of segments that are wanted and not known to be good. Afterwards `isGood` says which can be used. */
  async check(wanted: readonly SegmentHeader[]): Promise<void> {
    const open = wanted.filter(({ segment }) => this.known.get(segment)?.is !== 'good' && this.known.get(segment)?.is !== 'bad' && !this.bad.has(segment));
    await this.record(wanted.flatMap(({ segment }): Row[] => {
      const verified = this.bad.get(segment);
      if (verified === undefined || this.known.get(segment)?.why !== undefined) return [];
      return [{ segment, is: 'bad', why: `The segment ${segment} was found damaged when ${verified} was verified; its blobs are stored anew.` }];
    }));
    if (open.length === 0) return;
    const bytesTotal = open.reduce((sum, { bytes }) => sum + bytes, 0);
    let [bytesDone, itemsDone, reported] = [0, 0, 0];
    const tell = (): void => report({ phase: 'checking what an earlier attempt stored', bytesDone, bytesTotal, itemsDone, itemsTotal: open.length });
    tell();
    await checkCiphertext(this.cluster.vault, this.cluster.name, open, {
      signal: this.signal,
      onBytes: (bytes) => {
        bytesDone += bytes;
        if (bytesDone - reported < REPORT_EVERY_BYTES) return;
        reported = bytesDone;
        tell();
      },
      // One by one, so that an attempt that is cut off need not begin again.
      onChecked: async (segment, isSound) => {
        itemsDone += 1;
        await this.record([isSound ? { segment, is: 'good' } : { segment, is: 'bad', why: `The segment ${segment}, left by an attempt that was cut off, is damaged; its blobs are stored anew.` }]);
      },
    });
  }

  private async lookUp(): Promise<void> {
    const { vault, name } = this.cluster;
    const unknown = new Set<string>();
    const prefix = vaultPaths.segments(name);
    for await (const entry of vault.list(prefix)) {
      const id = entry.name.slice(prefix.length).replace(/\.index$/, '');
      if (entry.name.endsWith('.index') && !this.known.has(id)) unknown.add(id);
    }
    const rows: Row[] = [];
    for await (const segments of unknown.size === 0 ? [] : sealedSegments(vault, name, new SegmentLists(this.cluster.cache))) {
      this.signal?.throwIfAborted();
      for (const segment of segments) if (unknown.delete(segment)) rows.push({ segment, is: 'good' });
      if (unknown.size === 0) break;
    }
    await this.record([...rows, ...[...unknown].map((segment): Row => ({ segment, is: 'open' }))]);
  }

  private async record(rows: Row[]): Promise<void> {
    for (const row of rows) this.known.set(row.segment, row);
    await this.work.append(WORK.segments, rows);
  }
}
