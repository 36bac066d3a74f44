/** Looks at a vault that are not older than what is done by them: others write there, and a removal may take hours. */
import { readFullPicture, type FullPicture } from '../../adapters/vault/picture';
import { SegmentLists } from '../../adapters/vault/segment-lists';
import type { Duration } from '../../domain/duration';
import { planRemoval, type RemovalPlan } from '../../domain/prune';
import { decideRetention, type Decision } from '../../domain/retention';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';

export interface Look {
  picture: FullPicture;
  decisions: Decision[];
  removal: RemovalPlan;
  isRestoring: boolean;
}

/** A look that is quicker than this is taken anew for each thing that goes. */
const QUICK_MS = 250;
const RESTORING = 'Nothing is removed while a restore of this cluster is unfinished.';

export class Looks {
  /** What was read once is the same at the next look. */
  private readonly lists: SegmentLists;
  private last: { look: Look; began: number; ended: number } | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly hold: Duration,
    private readonly signal: AbortSignal,
  ) {
    this.lists = new SegmentLists(cluster.cache);
  }

  async take(): Promise<Look> {
    const { vault, name, config } = this.cluster;
    const began = performance.now();
    const picture = await readFullPicture(vault, name, this.lists, this.signal);
    const decisions = decideRetention(picture.facts, config.keep, picture.now);
    const removal = planRemoval(picture, decisions, this.hold);
    const isRestoring = (await vault.stat(vaultPaths.unfinishedRestore(name))) !== null;
    const look = { picture, decisions, isRestoring, removal: isRestoring ? { ...removal, backups: [], segments: [], notes: [...removal.notes, RESTORING] } : removal };
    this.last = { look, began, ended: performance.now() };
    return look;
  }

  /** One just taken; where looking takes long, one that ended no longer ago than it took, so that looking never costs more than twice the work. */
  async fresh(): Promise<Look> {
    if (this.last === undefined) return this.take();
    const { look, began, ended } = this.last;
    const took = ended - began;
    return took > QUICK_MS && performance.now() - ended < took ? look : this.take();
  }
}
