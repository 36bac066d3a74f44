import assert from 'node:assert/strict';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { EXIT } from '../../domain/contract';
import { isAlive } from '../../client/up-record';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { vaultPaths } from '../../domain/vault-format';
import { makeRegistryTree } from '../helpers/registry-tree';
import { sealBackup } from '../helpers/sealed-backup';
import { PASSPHRASE, writeKeys } from '../helpers/vault';
import type { Status } from '../../client/status';
import { drydock, place, start, type Finished, type Place, type Running } from './fixtures/drydock';

interface Ready {
  address: string;
  uiUrl: string;
  serverPid: number;
}

describe('drydock up', function () {
  this.timeout(180_000);
  let here: Place;
  let running: Running | undefined;

  before(async () => {
    const [port, uiPort] = await freePorts();
    here = await place({ address: `127.0.0.1:${port}`, uiPort });
  });
  after(async () => {
    running?.child.kill('SIGINT');
    await running?.finished;
    await here.remove();
  });

  async function up(): Promise<Ready> {
    running = start(['up', '--json', '--config', here.config]);
    await running.said('"serverPid"');
    await running.said('}\n');
    return JSON.parse(running.output().stdout) as Ready;
  }

  it('starts server, UI and worker, keeps the database, and leaves no process behind on Ctrl-C', async () => {
    const ready = await up();
    assert.equal((await fetch(ready.uiUrl)).status, 200);
    const status = JSON.parse((await drydock(['status', '--json', '--config', here.config])).stdout) as Status;
    assert.deepEqual([status.temporal.reachable, status.temporal.workerListens], [true, true]);
    const unknown = await drydock(['show', 'backup/lab/none', '--config', here.config]);
    assert.equal(unknown.code, EXIT.notFound);
    assert.match(unknown.stderr, /there is no workflow "backup\/lab\/none"\n.*keeps runs that are over for 30 days/);
    const second = await drydock(['up', '--config', here.config]);
    assert.equal(second.code, EXIT.failed);
    assert.match(second.stderr, /^drydock: `drydock up` is running already \(process \d+\): Temporal on 127\.0\.0\.1:\d+, UI http:/);
    running?.child.kill('SIGINT');
    assert.equal((await running?.finished)?.code, EXIT.ok);
    assert.equal(isAlive(ready.serverPid), false);
    await access(path.join(here.stateDir, 'temporal.db'));
  });

  it('leaves word where its UI is, for commands that are led to it by TEMPORAL_ADDRESS', async () => {
    const [port, uiPort] = await freePorts();
    running = start(['up', '--json', '--config', here.config, '--port', String(port), '--ui-port', String(uiPort)]);
    await running.said('}\n');
    const started = await drydock(['reconcile', 'lab', '--detach', '--json', '--config', here.config], { TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
    assert.match((JSON.parse(started.stdout) as { url: string }).url, new RegExp(`^http://127\\.0\\.0\\.1:${uiPort}/`));
    const { serverPid } = JSON.parse(running.output().stdout) as Ready;
    // As a process manager does it.
    running.child.kill('SIGTERM');
    assert.equal((await running.finished).code, EXIT.ok);
    assert.equal(isAlive(serverPid), false);
  });

  it('finds a run at its gate again after its server was killed, and votes that are sent then count', async () => {
    await mkdir(here.vault);
    const backup = await lastVerified();
    const killed = await up();
    const run = (...args: string[]): Promise<Finished> => drydock([...args, '--config', here.config]);
    const { workflowId } = JSON.parse((await run('forget', backup, '--detach', '--json')).stdout) as { workflowId: string };
    const gate = async (): Promise<{ name: string; planDigest: string; openedAt: string } | null> => {
      const shown = await run('show', workflowId, '--json');
      return shown.code === EXIT.ok ? (JSON.parse(shown.stdout) as { gate: { name: string; planDigest: string; openedAt: string } | null }).gate : null;
    };
    const before = await until(gate);
    process.kill(killed.serverPid, 'SIGKILL');
    const ended = await running!.finished;
    assert.equal(ended.code, EXIT.unreachable);
    assert.match(ended.stderr, /the Temporal development server has ended by itself/);
    await up();
    assert.deepEqual(await until(gate), before);
    const vote = await run('approve', workflowId, '--gate', 'forget', '--plan-digest', before.planDigest, '--by', 'second', '--reason', 'INC-4711');
    assert.equal(vote.code, EXIT.ok, vote.stderr);
    const end = await run('watch', workflowId, '--json');
    const { approvedBy, vaults } = (JSON.parse(end.stdout) as { result: { approvedBy: string; vaults: { state: string }[] } }).result;
    assert.deepEqual([end.code, approvedBy, vaults.map(({ state }) => state)], [EXIT.ok, 'second', ['marked']]);
    running!.child.kill('SIGINT');
    await running!.finished;
  });

  /** The id of the only backup in the vault, which verification found good. */
  async function lastVerified(): Promise<string> {
    const vault = openDirectoryVault(here.vault);
    await vault.check();
    await writeFile(path.join(here.directory, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
    const { backupId } = await sealBackup({ vault, cluster: 'lab', tree: makeRegistryTree({ layout: 'id', seed: 1, repositories: 1 }), keys: writeKeys });
    const at = '2026-11-23T02:00:00.000Z';
    await vault.put(vaultPaths.verdict('lab', backupId, at), JSON.stringify({
      format: 1, backupId, level: 'L2', startedAt: at, at, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0,
    }));
    return backupId;
  }

  /** What comes within a minute. */
  async function until<T>(ask: () => Promise<T | null>): Promise<T> {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
      const answer = await ask();
      if (answer !== null) return answer;
    }
    throw new Error(`nothing within a minute: ${running?.output().stderr ?? ''}`);
  }

  it('takes over from one that was killed', async () => {
    const killed = await up();
    running?.child.kill('SIGKILL');
    await running?.finished;
    assert.equal(isAlive(killed.serverPid), true);
    const ready = await up();
    assert.notEqual(ready.serverPid, killed.serverPid);
    assert.equal(isAlive(killed.serverPid), false);
    assert.match(running?.output().stderr ?? '', /Stopped a Temporal server that a killed `drydock up` had left/);
  });
});

describe('drydock up, where it cannot start', function () {
  this.timeout(180_000);

  it('says how to get the temporal program when it is not there', async () => {
    const [port, uiPort] = await freePorts();
    const here = await place({ address: `127.0.0.1:${port}`, uiPort });
    const { code, stderr } = await drydock(['up', '--config', here.config], { TEMPORAL_CLI_PATH: path.join(here.directory, 'no-temporal') });
    assert.equal(code, EXIT.usage);
    assert.match(stderr, /^drydock: TEMPORAL_CLI_PATH names .*no-temporal, which is no program/);
    await here.remove();
  });

  it('refuses a server address that is not this machine, and a port that something else holds', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    const [far, taken] = [await place({ address: 'temporal.example.com:7233' }), await place({ address: `127.0.0.1:${port}` })];
    const [farAway, inUse] = await Promise.all([far, taken].map((where) => drydock(['up', '--config', where.config])));
    assert.deepEqual([farAway?.code, inUse?.code], [EXIT.usage, EXIT.failed]);
    assert.match(farAway?.stderr ?? '', /temporal\.address is temporal\.example\.com:7233, which is not this machine/);
    assert.match(inUse?.stderr ?? '', new RegExp(`something else listens on 127\\.0\\.0\\.1:${port}`));
    holder.close();
    await far.remove();
    await taken.remove();
  });
});

async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return [ports[0]!, ports[1]!];
}
