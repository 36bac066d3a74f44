import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ExecOptions, Host } from '../../adapters/host/host';
import { connectHost } from '../../adapters/host/ssh';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { hostSchema, type HostConfig } from '../../domain/config';
import { Changes } from '../../store/changes/changes';
import { HOST_FOLDER, hostPlace } from '../../store/changes/host-place';
import { installationOf } from '../../store/changes/installation';
import { statePlace } from '../../store/changes/state-place';
import { vaultPlace } from '../../store/changes/vault-place';
import { restoreRecord } from '../helpers/changes';
import { failure } from '../helpers/failure';
import { moodyVault } from '../helpers/moody-vault';
import { startSshd, type TestSshd } from '../helpers/sshd';
import { until } from '../workflows/fixtures/harness';

const NODE = 'node-1';

/** On a real sshd and with a real sudo, in the folder of root's that every host has. */
describe('records of changes on a host, over SSH', function () {
  this.timeout(60_000);
  const open: Host[] = [];
  let sshd: TestSshd;
  let here: string;
  let cluster: string;

  const config = (more: object): HostConfig => hostSchema.parse({ address: '127.0.0.1', port: sshd.port, key: `file:${sshd.keyFile}`, ...more });
  const withPassword = (): HostConfig => config({ user: sshd.user, sudoPassword: `file:${sshd.passwordFile}` });
  const withoutPassword = (): HostConfig => config({ user: sshd.addLogin({ shell: '/bin/sh', sudo: true }).user });
  const folder = (): string => join(HOST_FOLDER, cluster);

  before(async () => {
    sshd = await startSshd({ ordinaryUser: true });
  });
  after(() => sshd.stop());
  beforeEach(async () => {
    here = await mkdtemp(join(tmpdir(), 'drydock-test-'));
    cluster = `test-${randomBytes(6).toString('hex')}`;
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.close()));
    rmSync(folder(), { recursive: true, force: true });
    await rm(here, { recursive: true, force: true });
  });

  /** A worker with a stateDir of its own that reaches the host by this login; its only vault cannot be written. */
  async function asWorker(worker: string, login: HostConfig): Promise<Changes> {
    const stateDir = join(here, `state-${worker}`);
    const vault = openDirectoryVault(join(here, 'main'));
    await vault.check();
    const main = moodyVault(vault);
    main.mood = 'readOnly';
    const connect = async (): Promise<Host> => {
      const host = await connectHost(NODE, login, { knownHosts: sshd.knownHosts, hosts: {} });
      open.push(host);
      return host;
    };
    let connection: Promise<Host> | undefined;
    return new Changes({
      vaults: [vaultPlace({ vault: main.vault, name: 'main', stateDir }, cluster)],
      worker: statePlace(stateDir, cluster),
      workerId: async () => (await installationOf(stateDir)).id,
      hosts: new Map([[NODE, hostPlace(NODE, () => (connection ??= connect()), cluster)]]),
    });
  }

  for (const [how, login] of [['whose sudo asks for a password', withPassword], ['whose sudo does not ask', withoutPassword]] as const) {
    it(`are written, read by another worker, changed and removed by a login ${how}, and belong to root alone`, async () => {
      const here = await asWorker('a', login());
      const there = await asWorker('b', login());
      assert.deepEqual((await here.tryOut([NODE])).onHosts, [NODE]);
      assert.deepEqual(await readdir(folder()), [], 'the trial leaves nothing');
      const { change } = await here.write(restoreRecord({ cluster, operation: 'größer "it\'s" $(id)' }), { hosts: [NODE] });
      const file = join(folder(), `${change.id}.1.json`);
      for (const [at, mode] of [[file, 0o600], [folder(), 0o700]] as const) assert.deepEqual([statSync(at).uid, statSync(at).mode & 0o777], [0, mode]);
      assert.deepEqual((await there.read({ hosts: true })).changes, [change]);
      const begun = await there.update(change, { state: 'begun' });
      assert.deepEqual(await readdir(folder()), [`${change.id}.2.json`]);
      assert.deepEqual((await here.read({ hosts: true })).changes, [begun]);
      assert.deepEqual(await there.end(begun), []);
      assert.deepEqual((await here.read({ hosts: true })).changes, []);
    });
  }

  it('are out of reach for a login that may not use sudo: the trial finds that out, and a record is refused with what to do', async () => {
    const login = sshd.addLogin({ shell: '/bin/bash' }).user;
    const changes = await asWorker('a', config({ user: login }));
    assert.deepEqual(await changes.tryOut([NODE]), { refused: [{ place: 'vault main', why: 'it is mounted read-only' }], isInVaults: false, onHosts: [] });
    await failure(changes.write(restoreRecord({ cluster }), { hosts: [NODE] }), 'NotPermitted');
    const { unread } = await changes.read({ hosts: true });
    assert.match(unread.map(({ place, why }) => `${place}: ${why}`).join(), /^host node-1: .*sudo/);
    assert.equal(existsSync(folder()), false);
  });

  it('that a lost connection cuts on their way are none: nothing lies under their name, nor beside it', async () => {
    const host = await connectHost(NODE, withPassword(), { knownHosts: sshd.knownHosts, hosts: {} });
    open.push(host);
    const halves = async function* (text: string): AsyncGenerator<Buffer> {
      yield Buffer.from(text.slice(0, text.length >> 1));
      await until(async () => (existsSync(folder()) && readdirSync(folder()).some((name) => statSync(join(folder(), name)).size > 0)) || undefined, 'the first half');
      sshd.dropConnections();
    };
    const cutting: Host = Object.create(host, { exec: { value: (command: string[], options: ExecOptions = {}) => host.exec(command, { ...options, input: Readable.from(halves(options.input as string)) }) } }) as Host;
    await failure(hostPlace(NODE, () => Promise.resolve(cutting), cluster).put('restore-0123456789abcdef.1.json', JSON.stringify(restoreRecord({ cluster }))), 'HostUnreachable');
    await until(async () => readdirSync(folder()).every((name) => !name.startsWith('.')) || undefined, 'what was written aside to go');
    assert.deepEqual(readdirSync(folder()), []);
  });

  it('cannot be read by the login itself', async () => {
    const { user } = sshd.addLogin({ shell: '/bin/bash', sudo: true });
    const changes = await asWorker('a', config({ user }));
    const { change } = await changes.write(restoreRecord({ cluster }), { hosts: [NODE] });
    assert.notEqual(spawnSync('runuser', ['-u', user, '--', 'cat', join(folder(), `${change.id}.1.json`)]).status, 0);
    assert.match(execFileSync('cat', [join(folder(), `${change.id}.1.json`)], { encoding: 'utf8' }), /"kind":"restore"/);
  });
});
