/** `npm run bench`: Drydock side by side with what users would take instead. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { startSshd } from '../test/helpers/sshd';
import { addBlobs, addLinks, sizeOf } from './corpus';
import { Drydock } from './drydock';
import { measureMillion } from './million';
import { PEERS, type PeerName, type Place } from './peers';
import { markdown, summarise } from './report';
import { playRound, type Sample } from './rounds';

/** In the clone, where `npm run` starts us; our own file may be a compiled one elsewhere. */
const RESULTS = path.resolve('bench', 'results.md');
/** What follows this line in the results is written by people and stays. */
const REMARKS = '## Remarks';

interface Options {
  corpus?: string;
  size: number;
  rounds: number;
  tools?: PeerName[];
  json?: boolean;
  million: boolean;
}

async function main(): Promise<void> {
  const command = new Command('bench')
    .description('Times first, incremental and unchanged backups, restores and verification, side by side with tar | gpg, ssh tar, restic and borg.')
    .option('--corpus <dir>', 'a directory in a registry\'s layout, which is not changed (default: a new one of --size)')
    .option('--size <MiB>', 'size of the corpus that is made', wholeNumber, 1024)
    .option('--rounds <n>', 'how often everything is measured', wholeNumber, 3)
    .option('--tools <names>', 'only these peers beside Drydock, as they are named in the results, with commas between', toolNames)
    .option('--no-million', 'leave out the plan and proof of 1,000,000 blobs')
    .option('--json', 'print one object instead of writing bench/results.md')
    .parse();
  const options = command.opts<Options>();
  refuseWithoutRoot();
  const say = (what: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${what}\n`);
  const base = await mkdtemp(path.join(tmpdir(), 'drydock-bench-'));
  const sshd = await startSshd({ sftp: '/usr/lib/openssh/sftp-server' });
  try {
    const volume = path.join(base, 'volume');
    if (options.corpus !== undefined) {
      say(`taking ${options.corpus}`);
      takeCorpus(path.resolve(options.corpus), volume);
    } else {
      say(`making ${options.size} MiB of blobs`);
      await addBlobs(volume, options.size * 2 ** 20, 1);
      await addLinks(volume, 200);
    }
    const corpus = await sizeOf(volume);
    const passphraseFile = path.join(base, 'passphrase');
    await writeFile(passphraseFile, 'of the bench\n', { mode: 0o600 });
    const place: Place = { base, volume, passphraseFile, sshd };
    const drydock = await Drydock.start(place);
    const samples: Sample[] = [];
    const peers = options.tools === undefined ? PEERS : PEERS.filter(({ name }) => options.tools!.includes(name));
    try {
      for (let round = 0; round < options.rounds; round++) samples.push(...(await playRound(place, drydock, peers, round, (what) => say(`round ${round + 1}, ${what}`))));
    } finally {
      await drydock.stop();
    }
    if (options.million) say('1,000,000 blobs');
    const results = summarise(samples, corpus, options.rounds, options.million ? await measureMillion(base) : null);
    if (options.json === true) process.stdout.write(`${JSON.stringify(results)}\n`);
    else if (options.tools !== undefined) process.stdout.write(markdown(results, new Date()));
    else await writeResults(markdown(results, new Date()));
  } finally {
    await sshd.stop();
    await rm(base, { recursive: true, force: true });
  }
}

/** A second set of names for the same files; where that is not possible, a copy. */
function takeCorpus(corpus: string, volume: string): void {
  execFileSync('sh', ['-c', 'test -d "$1/docker/registry/v2/blobs" || exit 3; cp -al "$1" "$2" 2>/dev/null || { rm -rf "$2"; cp -a "$1" "$2"; }', 'sh', corpus, volume]);
}

async function writeResults(text: string): Promise<void> {
  const before = await readFile(RESULTS, 'utf8').catch(() => '');
  const remarks = before.includes(REMARKS) ? `\n${before.slice(before.indexOf(REMARKS))}` : '';
  await writeFile(RESULTS, `${text}${remarks}`);
  process.stdout.write(text);
}

function refuseWithoutRoot(): void {
  if (process.getuid?.() === 0) return;
  process.stderr.write('the bench starts sshd, so it has to run as root\n');
  process.exit(2);
}

function toolNames(text: string): PeerName[] {
  return text.split(',').map((name) => {
    const peer = PEERS.find((each) => each.name === name);
    if (!peer) throw new InvalidArgumentError(`expected some of ${PEERS.map((each) => each.name).join(', ')}`);
    return peer.name;
  });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number above 0');
  return value;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
