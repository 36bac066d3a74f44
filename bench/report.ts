/** Medians and ratios of all rounds, as markdown and as one object. */
import { cpus } from 'node:os';
import { median } from './measure';
import { WORK, type Sample, type Tool, type Work } from './rounds';
import type { Million } from './million';

export interface Results {
  corpus: { blobs: number; bytes: number };
  rounds: number;
  /** A peer's median time divided by ours: above 1 we are faster. */
  ratios: Record<string, number>;
  /** Of our process above what it has when it idles, at most. */
  peakMemoryMiB: number;
  verifyMBps: number;
  millionBlobs: Million | null;
  medians: { work: Work; tool: Tool; seconds: number; cpuSeconds: number; farCpuSeconds: number; peakMemoryMiB: number }[];
}

const RATIOS: [string, Tool, Work, Work][] = [
  ['firstVsPage', 'page', 'first', 'first'],
  ['firstVsPageUncompressed', 'pageUncompressed', 'first', 'first'],
  ['firstVsSshTar', 'sshTar', 'first', 'first'],
  ['firstVsRestic', 'restic', 'first', 'first'],
  ['firstVsBorg', 'borg', 'first', 'first'],
  ['firstVsResticLocal', 'resticLocal', 'first', 'first'],
  ['firstVsBorgLocal', 'borgLocal', 'first', 'first'],
  ['onePercentVsPage', 'page', 'first', 'onePercent'],
  ['onePercentVsRestic', 'restic', 'onePercent', 'onePercent'],
  ['onePercentVsBorg', 'borg', 'onePercent', 'onePercent'],
  ['restoreVsGpgTar', 'page', 'restore', 'restore'],
  ['restoreVsRestic', 'restic', 'restore', 'restore'],
  ['restoreVsBorg', 'borg', 'restore', 'restore'],
  ['deltaRestoreVsGpgTar', 'page', 'restore', 'deltaRestore'],
];

export function summarise(samples: Sample[], corpus: Results['corpus'], rounds: number, millionBlobs: Million | null): Results {
  const of = (tool: Tool, work: Work): Sample[] => samples.filter((sample) => sample.tool === tool && sample.work === work);
  const seconds = (tool: Tool, work: Work): number => median(of(tool, work).map((sample) => sample.seconds));
  const tools = [...new Set(samples.map(({ tool }) => tool))];
  const medians = WORK.flatMap((work) =>
    tools.filter((tool) => of(tool, work).length > 0).map((tool) => ({
      work, tool, seconds: seconds(tool, work),
      cpuSeconds: median(of(tool, work).map((sample) => sample.cpuSeconds)),
      farCpuSeconds: median(of(tool, work).map((sample) => sample.farCpuSeconds)),
      peakMemoryMiB: Math.max(...of(tool, work).map((sample) => sample.peakMemoryMiB)),
    })),
  );
  return {
    corpus, rounds,
    ratios: {
      ...Object.fromEntries(RATIOS.filter(([, tool]) => tools.includes(tool)).map(([name, tool, theirs, ours]) => [name, round(seconds(tool, theirs) / seconds('drydock', ours))])),
      ...(tools.includes('minimal') ? { unstoredVsMinimal: round(seconds('minimal', 'first') / seconds('drydockUnstored', 'first')) } : {}),
    },
    peakMemoryMiB: Math.round(Math.max(...samples.map(({ extraMemoryMiB = 0 }) => extraMemoryMiB))),
    verifyMBps: Math.round(median(of('drydock', 'verify').map(({ bytes = 0, seconds: time }) => bytes / 1e6 / time))),
    millionBlobs, medians,
  };
}

export function markdown(results: Results, at: Date): string {
  const { corpus, medians, ratios, millionBlobs } = results;
  return [
    '# What the bench measured',
    '',
    `${at.toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.versions.node}: ${corpus.blobs} blobs, ${(corpus.bytes / 2 ** 20).toFixed(0)} MiB, `
      + `${results.rounds} rounds, all in the page cache; medians. \`npm run bench\` measures again. Machines are noisy: compare within one run only.`,
    '',
    '| Work | Tool | Seconds | CPU seconds, all | of them its own | of them sshd and what it ran | Peak memory, MiB |',
    '|---|---|---:|---:|---:|---:|---:|',
    ...medians.map((row) => `| ${row.work} | ${row.tool} | ${row.seconds.toFixed(2)} | ${(row.cpuSeconds + row.farCpuSeconds).toFixed(2)} | ${row.cpuSeconds.toFixed(2)} | ${row.farCpuSeconds.toFixed(2)} | ${row.peakMemoryMiB.toFixed(0)} |`),
    '',
    'Each byte goes over SSH once, but for `page` and `...Local`. restic and borg run on the registry\'s host and write to the machine that keeps backups (SFTP, `borg serve`); Drydock, sshTar and minimal run there and read '
      + 'over SSH; a restore goes back the same way. resticLocal and borgLocal have their repository on the same disk. drydockUnstored throws its segments away as soon as they are made; minimal (`bench/minimal-path.ts`) does the least that each byte needs, '
      + 'and stores nothing either. Memory is that of the tool\'s own side; of Drydock, of a whole Node process.',
    '',
    '| Ratio (their time / ours) | |',
    '|---|---:|',
    ...Object.entries(ratios).map(([name, value]) => `| ${name} | ${value.toFixed(2)} |`),
    '',
    `Memory above idle: ${results.peakMemoryMiB} MiB. Verifying ciphertext: ${results.verifyMBps} MB/s.`,
    ...(millionBlobs ? ['', ...million(millionBlobs)] : []),
    '',
  ].join('\n');
}

function million({ layouts }: Million): string[] {
  return [
    '1,000,000 blobs and 200,000 tags, all stored: seconds to plan (both passes, each from the vault\'s indexes), to prove, and to seal (lists encrypted); memory above that of the idle process.',
    '',
    '| Layout | Plan | Prove | Seal | Memory above idle, MiB | Idle, MiB |',
    '|---|---:|---:|---:|---:|---:|',
    ...Object.entries(layouts).map(([layout, each]) => `| blobs/${layout} | ${each.planSeconds} | ${each.proveSeconds} | ${each.sealSeconds} | ${each.memoryMiB} | ${each.idleMiB} |`),
  ];
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
