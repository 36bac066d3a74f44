/** What each command shows: in a pipe, and on terminals of 80 and 120 columns. The workflows behind them are stubs with fixed answers; vault, server and terminal are real. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { Doors } from '../client/fixtures/doors';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { PASSPHRASE, writeKeys } from '../helpers/vault';
import { inPipe, onTerminal, type Shown } from './screen';
import { settler } from './settle';
import { assertStored } from './stored';

const HOUR_MS = 3_600_000;
const WIDTHS = [80, 120];
const CTRL_C = '\u0003';
const DIGEST = 'd'.repeat(64);
/** A text of the same length stands for each backup in the vault, by its age. */
const NAMES = ['20261128T020000Z-b00001', '20261129T020000Z-b00002'] as const;
const DIRECTORY = '/srv/drydock';
const READING = /^(?:list|show|ls|vault|key|status|bakup|restore lab$|backup prod|watch 2|watch backup)\b/;

interface Scene {
  name: string;
  /** As it is shown: RUN stands for the run that `before` has left, OLD and NEW for the backups. */
  line: string;
  /** Leaves something behind for the command, and returns the id of the run that it is about. */
  before?: () => Promise<string>;
  typed?: { at: string; keys: string }[];
  /** In a pipe it would go on for ever. */
  onlyOnTerminals?: boolean;
  /** What it says of this machine has another length on each, and so are its lines. */
  onlyInPipe?: boolean;
}

describe('what the command shows', function () {
  this.timeout(180_000);
  let doors: Doors;
  let backups: string[];
  const names = new Map<string, string>();

  before(async () => {
    doors = await Doors.open();
    const { here } = doors;
    names.set(here.directory, `${DIRECTORY}${'/'.padEnd(here.directory.length - DIRECTORY.length, 'x')}`);
    await writeFile(path.join(here.directory, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
    await mkdir(here.vault);
    const vault = openDirectoryVault(here.vault);
    await vault.check();
    backups = [];
    for (const [at, hours] of [50, 26].entries()) {
      const tree = makeRegistryTree({ layout: 'id', seed: 1 + at, repositories: 2, tags: 2 });
      const { backupId } = await sealBackup({ vault, cluster: 'lab', tree, keys: writeKeys, startedAt: new Date(Date.now() - hours * HOUR_MS).toISOString() });
      backups.push(backupId);
      names.set(backupId, NAMES[at]!);
    }
    await doors.startWorker();
  });
  afterEach(() => doors.endRuns());
  after(() => doors.close());

  const waiting = (): Promise<string> => doors.waitingRestore();
  const held = (): Promise<string> => doors.heldBackup();
  const question = { at: 'Is this the plan that you have read?', keys: 'yes\n' };

  const scenes: Scene[] = [
    { name: 'list', line: 'list' },
    { name: 'list-json', line: 'list --json' },
    { name: 'show-backup', line: 'show NEW' },
    { name: 'ls', line: 'ls NEW' },
    { name: 'ls-tag', line: 'ls NEW --repo org0/app0:v0' },
    { name: 'vault-init', line: 'vault init', onlyInPipe: true },
    { name: 'vault-check', line: 'vault check' },
    { name: 'vault-stats', line: 'vault stats' },
    { name: 'key-rotate', line: 'key rotate lab' },
    { name: 'extract', line: 'extract NEW --repo org0/app0 -o OUTPUT' },
    { name: 'status', line: 'status' },
    { name: 'status-running', line: 'status', before: held },
    { name: 'status-waiting', line: 'status', before: waiting },
    { name: 'backup', line: 'backup lab' },
    { name: 'backup-json', line: 'backup lab --json' },
    { name: 'backup-incomplete', line: 'backup lab --reason incomplete' },
    { name: 'backup-failed', line: 'backup lab --reason fail' },
    { name: 'backup-detached', line: 'backup lab --detach' },
    { name: 'backup-locked', line: 'backup lab', before: held },
    { name: 'restore-detached', line: 'restore lab --backup latest --detach' },
    { name: 'restore-asked', line: 'restore lab --backup latest --approve-as second', typed: [{ at: 'what do you decide at gate "plan"?', keys: 'approve\n' }, { at: 'Reason: ', keys: 'INC-4711\n' }], onlyOnTerminals: true },
    { name: 'show-run', line: 'show RUN', before: waiting },
    { name: 'watch-interrupted', line: 'watch RUN', before: waiting, typed: [{ at: 'reject: end the run', keys: CTRL_C }], onlyOnTerminals: true },
    { name: 'approve', line: 'approve RUN --gate plan --by operator', before: waiting, typed: [question] },
    { name: 'approve-digest', line: `approve RUN --gate plan --by operator --plan-digest ${DIGEST}`, before: waiting },
    { name: 'approve-stranger', line: `approve RUN --gate plan --by mallory --plan-digest ${DIGEST}`, before: waiting },
    { name: 'reject', line: `reject RUN --gate plan --by second --reason INC-4711 --plan-digest ${DIGEST}`, before: waiting },
    { name: 'retry', line: `retry RUN --gate plan --by second --plan-digest ${DIGEST}`, before: waiting },
    { name: 'cancel', line: 'cancel RUN', before: waiting },
    { name: 'verify', line: 'verify lab' },
    { name: 'verify-damaged', line: 'verify lab --reason damaged' },
    { name: 'prune', line: 'prune lab' },
    { name: 'prune-dry-run', line: 'prune lab --dry-run' },
    { name: 'copy', line: 'copy lab' },
    { name: 'copy-damaged', line: 'copy lab --reason damaged' },
    { name: 'forget', line: 'forget NEW' },
    { name: 'forget-undo', line: 'forget NEW --undo' },
    { name: 'reconcile', line: 'reconcile lab' },
    { name: 'wrong-command', line: 'bakup lab' },
    { name: 'wrong-option', line: 'restore lab' },
    { name: 'wrong-cluster', line: 'backup prod' },
    { name: 'wrong-backup', line: 'show 20200101T020000Z-1a2b3c' },
    { name: 'wrong-run', line: 'watch backup/lab/20200101T020000Z-1a2b3c' },
  ];

  for (const scene of scenes) {
    it(`of \`drydock ${scene.line.replace(/(.{60}).*/, '$1...')}\` is the stored text, in a pipe and at each width (${scene.name})`, async () => {
      const shows: (() => Promise<readonly [string, Shown]>)[] = (scene.onlyInPipe ? [] : WIDTHS).map((columns) => async () => [`on a terminal of ${columns} columns`, await shown(scene, (args, settle) => onTerminal(args, columns, { settle, ...(scene.typed ? { typed: scene.typed } : {}) }))]);
      if (!scene.onlyOnTerminals) shows.unshift(async () => ['in a pipe', await shown(scene, (args, settle) => inPipe(args, { settle }))]);
      const forms: (readonly [string, Shown])[] = [];
      // What takes the cluster's lock, or a place, must go one after the other.
      if (scene.before === undefined && READING.test(scene.line)) forms.push(...(await Promise.all(shows.map((show) => show()))));
      else for (const show of shows) forms.push(await show());
      assertStored(scene.name, `drydock ${scene.line}`, forms);
    });
  }

  async function shown({ line, before: prepare }: Scene, show: (args: string[], settle: (raw: string) => string) => Promise<Shown>): Promise<Shown> {
    const run = await prepare?.();
    const output = path.join(doors.here.directory, 'output');
    const places: Record<string, string> = { RUN: run ?? '', OLD: backups[0]!, NEW: backups[1]!, OUTPUT: output };
    const args = line.split(' ').map((word) => places[word] ?? word);
    try {
      return await show([...args, '--config', doors.here.config], settler(names));
    } finally {
      await doors.endRuns();
      await rm(output, { recursive: true, force: true });
    }
  }
});
