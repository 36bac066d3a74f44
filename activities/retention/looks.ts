/** Looks at a vault that are not older than what is done by them: others write there, and a removal may take hours. */
import { readFullPicture, type FullPicture } from '../../adapters/vault/picture';
import { SegmentLists } from '../../adapters/vault/segment-lists';
import { behindNoReturn, unfinishedSentence, unfinishedWayOut, type Change } from '../../domain/changes';
import type { Duration } from '../../domain/duration';
import { planRemoval, type RemovalPlan } from '../../domain/prune';
import { decideRetention, type Decision } from '../../domain/retention';
import { changesOf } from '../changes';
import type { Cluster } from '../cluster';

export interface Look {
  picture: FullPicture;
  decisions: Decision[];
  removal: RemovalPlan;
  isRestoring: boolean;
}

/** A look that is quicker than this is taken anew for each thing that goes. */
const QUICK_MS = 250;

export class Looks {
  /** What was read once is the same at the next look. */
  private readonly lists: SegmentLists;
  private last: { look: Look; began: number; ended: number } | undefined;
  /** Hosts take seconds to ask, so they are asked once: a record lies there only where no vault took it. */
  private onHosts: Promise<readonly Change[]> | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly hold: Duration,
    private readonly signal: AbortSignal,
    private readonly quickMs = QUICK_MS,
  ) {
    this.lists = new SegmentLists(cluster.cache);
  }

  async take(): Promise<Look> {
    const { vault, name, config } = this.cluster;
    const began = performance.now();
    const picture = await readFullPicture(vault, name, this.lists, this.signal);
    const decisions = decideRetention(picture.facts, config.keep, picture.now);
    const removal = planRemoval(picture, decisions, this.hold);
    const restoring = await this.unfinished();
    const isRestoring = restoring.length > 0;
    const look = { picture, decisions, isRestoring, removal: isRestoring ? { ...removal, backups: [], segments: [], notes: [...removal.notes, ...restoring] } : removal };
    this.last = { look, began, ended: performance.now() };
    return look;
  }

  /** Sentences: why nothing is removed, and the way out. */
  private async unfinished(): Promise<string[]> {
    const changes = changesOf(this.cluster);
    this.onHosts ??= changes.read({ hosts: true }).then(({ changes: all }) => all.filter(({ onHosts }) => onHosts.length > 0));
    const standing = [...(await changes.read()).changes, ...(await this.onHosts)];
    const restores = new Map(behindNoReturn(standing).map((change) => [change.id, change]));
    return [...restores.values()].map((change) => `Nothing is removed while a restore of this cluster is unfinished. ${unfinishedSentence(change)} Way out: ${unfinishedWayOut(change)}.`);
  }

  /** One just taken; where looking takes long, one that ended no longer ago than it took, so that looking never costs more than twice the work. */
  async fresh(): Promise<Look> {
    if (this.last === undefined) return this.take();
    const { look, began, ended } = this.last;
    const took = ended - began;
    return took > this.quickMs && performance.now() - ended < took ? look : this.take();
  }
}
