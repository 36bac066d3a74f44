/** The measurements: every tool does the same in the same round, one after the other, and the rounds are repeated. */
import { addBlobs, damage, removeBlobs, sizeOf } from './corpus';
import type { Drydock } from './drydock';
import type { Measured } from './measure';
import type { Peer, PeerName, Place } from './peers';

export const WORK = ['first', 'onePercent', 'unchanged', 'restore', 'deltaRestore', 'verify'] as const;
export type Work = (typeof WORK)[number];
export type Tool = PeerName | 'drydock' | 'drydockUnstored';
export interface Sample extends Measured {
  tool: Tool;
  work: Work;
  /** Only of Drydock: moved, written or read, and memory above what its process has when it idles. */
  bytes?: number;
  extraMemoryMiB?: number;
}

const ONE_PERCENT = 0.01;

/** One round; `say` is told what is being done. The volume is afterwards as it was. */
export async function playRound(place: Place, drydock: Drydock, peers: readonly Peer[], round: number, say: (what: string) => void): Promise<Sample[]> {
  const samples: Sample[] = [];
  const peer = async (each: Peer, work: Work, run: ((place: Place) => Promise<Measured>) | undefined): Promise<void> => {
    if (!run) return;
    say(`${work}: ${each.name}`);
    samples.push({ tool: each.name, work, ...(await run.call(each, place)) });
  };
  const ours = async (work: Work, run: () => ReturnType<Drydock['backup']>, tool: Tool = 'drydock'): Promise<void> => {
    say(`${work}: ${tool}`);
    const { idleMiB, ...measured } = await run();
    samples.push({ tool, work, ...measured, extraMemoryMiB: measured.peakMemoryMiB - idleMiB });
  };
  for (const each of peers) await each.prepare(place);
  await drydock.prepare();
  // Who comes first changes from round to round: caches and throttling must not favour one.
  const first = round % Math.max(1, peers.length);
  const order = [...peers.slice(first), ...peers.slice(0, first)];
  for (const each of order) await peer(each, 'first', each.backup);
  await ours('first', () => drydock.backupUnstored(), 'drydockUnstored');
  await ours('first', () => drydock.backup());
  const { bytes } = await sizeOf(place.volume);
  const added = await addBlobs(place.volume, bytes * ONE_PERCENT, 1000 + round);
  try {
    await ours('onePercent', () => drydock.backup());
    for (const work of ['onePercent', 'unchanged'] as const) {
      for (const each of order.filter(({ isIncremental }) => isIncremental)) await peer(each, work, each.backup);
    }
    await ours('unchanged', () => drydock.backup());
    for (const each of order) await peer(each, 'restore', each.restore);
    await ours('restore', () => drydock.restore());
    const target = `${place.base}/target`;
    await damage(target, ONE_PERCENT);
    await ours('deltaRestore', () => drydock.restore(target));
    await ours('verify', () => drydock.verify());
  } finally {
    await removeBlobs(place.volume, added);
  }
  return samples;
}
