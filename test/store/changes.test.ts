import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localHost } from '../../adapters/host/local';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { remember, vaultId } from '../../adapters/vault/known-vaults';
import { Changes } from '../../store/changes/changes';
import { hostPlace } from '../../store/changes/host-place';
import { installationOf } from '../../store/changes/installation';
import { statePlace } from '../../store/changes/state-place';
import { vaultPlace } from '../../store/changes/vault-place';
import { freezeRecord, leaveRecord, restoreRecord, stopRecord } from '../helpers/changes';
import { moodyVault, type MoodyVault } from '../helpers/moody-vault';

describe('records of changes', () => {
  let here: string;
  let main: MoodyVault;
  let mirror: MoodyVault;
  let changes: Changes;

  beforeEach(async () => {
    here = await mkdtemp(join(tmpdir(), 'drydock-test-'));
    main = await newVault('main');
    mirror = await newVault('mirror');
    changes = asWorker('a');
  });
  afterEach(() => rm(here, { recursive: true, force: true }));

  async function newVault(name: string): Promise<MoodyVault> {
    const vault = openDirectoryVault(join(here, name));
    await vault.check();
    return moodyVault(vault);
  }

  /** The same vaults and host, seen by a worker with a stateDir of its own. */
  function asWorker(worker: string): Changes {
    const stateDir = join(here, `state-${worker}`);
    const host = hostPlace('node-1', () => Promise.resolve(localHost('node-1')), 'lab', join(here, 'host'));
    return new Changes({
      vaults: [vaultPlace({ vault: main.vault, name: 'main', stateDir }, 'lab'), vaultPlace({ vault: mirror.vault, name: 'mirror', stateDir }, 'lab')],
      worker: statePlace(stateDir, 'lab'),
      workerId: async () => (await installationOf(stateDir)).id,
      hosts: new Map([['node-1', host]]),
    });
  }

  const files = (folder: string): Promise<string[]> => readdir(join(here, folder)).catch(() => []);
  const inVaults = async (): Promise<string[][]> => [await files('main/lab/operations'), await files('mirror/lab/operations')];

  it('lie in every vault of the cluster and under stateDir, and are one record for a reader', async () => {
    const { change, refused } = await changes.write(freezeRecord());
    assert.deepEqual(refused, []);
    const name = `${change.id}.1.json`;
    assert.deepEqual([...(await inVaults()), await files('state-a/changes/lab')], [[name], [name], [name]]);
    assert.deepEqual(await changes.read(), { changes: [change], unread: [], damaged: [] });
    assert.deepEqual((await asWorker('b').read()).changes, [change]);
  });

  it('go into the vaults that take them, and the others are named', async () => {
    main.mood = 'readOnly';
    const { change, refused } = await changes.write(restoreRecord(), { hosts: ['node-1'] });
    assert.deepEqual(refused, [{ place: 'vault main', why: 'it is mounted read-only' }]);
    assert.deepEqual((await inVaults()).map((names) => names.length), [0, 1]);
    assert.deepEqual(await files('host/lab'), [], 'a host is the last resort');
    assert.deepEqual((await asWorker('b').read()).changes, [change]);
  });

  it('go onto the hosts that are changed where no vault takes them, as files of root alone', async () => {
    main.mood = 'readOnly';
    mirror.mood = 'away';
    const { change } = await changes.write(restoreRecord(), { hosts: ['node-1'] });
    const [name] = await files('host/lab');
    assert.equal((await stat(join(here, 'host/lab', name!))).mode & 0o777, 0o600);
    assert.equal((await stat(join(here, 'host/lab'))).mode & 0o777, 0o700);
    const elsewhere = await asWorker('b').read({ hosts: true });
    assert.deepEqual(elsewhere.changes, [change]);
    assert.deepEqual(elsewhere.unread, [{ place: 'vault mirror', why: 'it does not answer' }]);
    assert.deepEqual((await asWorker('b').read()).changes, []);
    const begun = await changes.update(change, { state: 'begun' });
    assert.deepEqual((await asWorker('b').read({ hosts: true })).changes, [begun]);
    assert.deepEqual(await files('host/lab'), [`${change.id}.2.json`]);
  });

  it('throw what the vault said where nothing but the worker itself would hold them, unless that is enough', async () => {
    main.mood = mirror.mood = 'away';
    await assert.rejects(changes.write(freezeRecord()), /it does not answer/);
    assert.deepEqual(await files('state-a/changes/lab'), [], 'and nothing is left that never held');
    const { change } = await changes.write(stopRecord(), { hosts: ['node-9'], onWorker: true });
    assert.deepEqual((await changes.read()).changes, [change]);
  });

  it('count by their newest revision, wherever that lies', async () => {
    const { change } = await changes.write(freezeRecord({ state: 'planned' }));
    main.mood = 'away';
    const begun = await changes.update(change, { state: 'begun' });
    main.mood = 'well';
    assert.deepEqual(await inVaults(), [[`${change.id}.1.json`], [`${change.id}.2.json`]]);
    assert.deepEqual((await asWorker('b').read()).changes, [begun]);
    mirror.mood = 'away';
    const { changes: standing, unread } = await asWorker('b').read();
    assert.deepEqual([standing[0]?.state, unread.map(({ place }) => place)], ['planned', ['vault mirror']], 'and who cannot see that is told that a place was not read');
  });

  it('go from every place when they end', async () => {
    main.mood = 'readOnly';
    mirror.mood = 'readOnly';
    const { change } = await changes.write(restoreRecord(), { hosts: ['node-1'] });
    mirror.mood = 'well';
    const begun = await changes.update(change, { state: 'begun' });
    main.mood = 'well';
    assert.deepEqual(await changes.end(begun), []);
    assert.deepEqual([...(await inVaults()), await files('host/lab'), await files('state-a/changes/lab')], [[], [], [], []]);
  });

  it('that ended while a vault was away stand nowhere, and nothing is left of them once it was reached', async () => {
    const { change } = await changes.write(restoreRecord());
    main.mood = 'away';
    assert.deepEqual(await changes.end(change), []);
    main.mood = 'well';
    assert.deepEqual(await inVaults(), [[`${change.id}.1.json`], [`${change.id}.2.json`]]);
    const other = asWorker('b');
    assert.deepEqual((await other.read()).changes, []);
    main.mood = 'away';
    await other.tidy();
    assert.deepEqual((await inVaults())[1], [`${change.id}.2.json`], 'as long as the old one may come back, the word on it stays');
    main.mood = 'well';
    await other.tidy();
    assert.deepEqual(await inVaults(), [[], []]);
  });

  it('that one worker wrote and another ended do not come back from the stateDir of the first, which clears itself later', async () => {
    const [a, b, c] = [asWorker('a'), asWorker('b'), asWorker('c')];
    const { change } = await a.write(freezeRecord({ state: 'planned' }));
    const begun = await c.update(change, { state: 'begun' });
    assert.deepEqual(await b.end(begun), []);
    for (const worker of [a, b, c]) assert.deepEqual((await worker.read()).changes, []);
    await b.tidy();
    await a.tidy();
    assert.deepEqual([await files('state-a/changes/lab'), (await inVaults()).map((names) => names.length)], [[], [1, 1]], 'the third has its own still');
    await c.tidy();
    assert.deepEqual([...(await inVaults()), await files('state-b/changes/lab'), await files('state-c/changes/lab')], [[], [], [], []]);
  });

  it('that a worker would have to clear who never comes back are forgotten after three months', async () => {
    const { change } = await asWorker('a').write(freezeRecord({ recordedAt: new Date(Date.now() - 91 * 86_400_000).toISOString() }));
    await asWorker('b').end(change);
    assert.deepEqual((await inVaults()).map((names) => names.length), [1, 1]);
    await asWorker('b').tidy();
    assert.deepEqual(await inVaults(), [[], []]);
  });

  it('are said to stay where neither they nor a word on their end can be removed or left', async () => {
    const { change } = await changes.write(restoreRecord());
    main.mood = mirror.mood = 'readOnly';
    await rm(join(here, 'state-a'), { recursive: true });
    await writeFile(join(here, 'state-a'), 'no folder');
    const left = await changes.end(change);
    assert.equal(left.length, 3);
    assert.match(left[0]!, /could not be removed from vault main \(it is mounted read-only\); `drydock reconcile lab` does it later/);
  });

  it('that are damaged are named, unless another place has them whole', async () => {
    const { change } = await changes.write(freezeRecord());
    await writeFile(join(here, 'main/lab/operations', `${change.id}.1.json`), '{"format":1');
    assert.deepEqual((await changes.read()).damaged, []);
    await writeFile(join(here, 'mirror/lab/operations', `${change.id}.1.json`), '');
    assert.deepEqual((await asWorker('b').read()).damaged, [{ place: 'vault main', name: `${change.id}.1.json` }, { place: 'vault mirror', name: `${change.id}.1.json` }]);
  });

  it('are neither looked for nor put in a disk that is not mounted, or in another vault of that name', async () => {
    const stateDir = join(here, 'state-a');
    await remember({ vault: main.vault, name: 'main', stateDir }, (await vaultId(main.vault))!);
    await rm(join(here, 'main', 'vault.json'));
    const { refused } = await changes.write(freezeRecord());
    assert.match(refused[0]!.why, /the vault "main" .* is not there/);
    await openDirectoryVault(join(here, 'main')).check();
    await leaveRecord(main.vault, restoreRecord());
    const { changes: standing, unread } = await changes.read();
    assert.deepEqual(standing.map(({ kind }) => kind), ['freeze']);
    assert.match(unread[0]!.why, /is another vault/);
  });

  it('can be tried out without leaving anything', async () => {
    main.mood = 'readOnly';
    assert.deepEqual(await changes.tryOut(['node-1']), { refused: [{ place: 'vault main', why: 'it is mounted read-only' }], isInVaults: true, onHosts: [] });
    mirror.mood = 'readOnly';
    const { isInVaults, onHosts } = await changes.tryOut(['node-1', 'node-9']);
    assert.deepEqual([isInVaults, onHosts], [false, ['node-1']]);
    assert.deepEqual(execFileSync('find', [here, '-type', 'f', '-newer', join(here, 'main/vault.json'), '-not', '-name', 'vault.json'], { encoding: 'utf8' }), '');
  });

  it('lose on a host, when it is tried out, what it was writing when it was switched off, and nothing that is still written', async () => {
    main.mood = 'readOnly';
    mirror.mood = 'readOnly';
    const { change } = await changes.write(restoreRecord(), { hosts: ['node-1'] });
    const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
    for (const name of ['.part-0123456789abcdef', '.part-fedcba9876543210']) await writeFile(join(here, 'host/lab', name), '{');
    await utimes(join(here, 'host/lab/.part-0123456789abcdef'), hoursAgo, hoursAgo);
    await changes.tryOut(['node-1']);
    assert.deepEqual((await files('host/lab')).sort(), ['.part-fedcba9876543210', `${change.id}.1.json`]);
  });

  it('name the installation that wrote them, the same for every step of a worker', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => installationOf(join(here, 'state-c'))));
    assert.equal(new Set(ids.map(({ id }) => id)).size, 1);
    assert.notEqual((await installationOf(join(here, 'state-d'))).id, ids[0]!.id);
    assert.deepEqual(await files('state-c'), ['installation.json']);
  });
});
