import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type tls from 'node:tls';
import { connectEngine } from '../../adapters/docker/dockerode';
import type { Engine } from '../../adapters/docker/engine';
import { openContainerHost, VOLUME_ROOT, type HelperContainer } from '../../adapters/host/container';
import type { Host } from '../../adapters/host/host';
import { copyBlobs } from '../../adapters/images/copy';
import { hashFiles } from '../../adapters/images/hash';
import { listBlobs } from '../../adapters/images/listing';
import { sha256BlobPath } from '../../domain/layout';
import { cutAll, resetExecs, SOCKET, tlsDoor } from '../helpers/docker-door';
import { failure } from '../helpers/failure';
import { noise } from '../helpers/noise';
import { feedPatiently, readSlowly } from '../helpers/patient-feed';
import { TestCa } from '../helpers/pki';
import { runs, unusual } from '../helpers/processes';
import { scratchVault, writeKeys } from '../helpers/vault';

const IMAGE = 'debian:bookworm-slim';
const LABEL = ['drydock.test', randomBytes(4).toString('hex')] as const;
const labels = Object.fromEntries([LABEL]);

describe('a registry volume behind a helper container', function () {
  this.timeout(120_000);
  let ca: TestCa;
  let door: tls.Server;
  let engine: Engine;
  let folder: string;
  const open: Host[] = [];

  const start = async (more: Partial<HelperContainer> = {}): Promise<Host> => {
    const host = await openContainerHost(engine, 'the helper container', { image: IMAGE, source: folder, labels, ...more });
    open.push(host);
    return host;
  };
  const left = () => engine.containers({ labels: [LABEL.join('=')] });
  /** The engine takes a moment to remove a container that has ended. */
  const noneLeft = async (): Promise<void> => {
    for (let n = 0; n < 50 && (await left()).length > 0; n++) await sleep(100);
    assert.deepEqual(await left(), []);
  };

  before(async () => {
    ca = new TestCa();
    door = await tlsDoor(ca);
    // As through UCP: TLS on the outside.
    engine = connectEngine({ host: '127.0.0.1', port: (door.address() as net.AddressInfo).port, ca: ca.cert, ...ca.issue([]) });
    folder = mkdtempSync(path.join(tmpdir(), 'drydock-helper-'));
    writeFileSync(path.join(folder, 'only-root.txt'), 'secret\n', { mode: 0o600 });
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.close()));
    await noneLeft();
  });
  after(() => {
    engine.close();
    cutAll();
    door.close();
    ca.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it('shows the volume to its root, read-only and without a network', async () => {
    const host = await start();
    assert.equal((await host.exec(['cat', `${VOLUME_ROOT}/only-root.txt`])).stdout, 'secret\n');
    assert.match((await failure(host.exec(['touch', `${VOLUME_ROOT}/new`]), 'CommandFailed')).message, /Read-only file system/);
    assert.equal((await host.exec(['sh', '-c', 'ls /sys/class/net'])).stdout, 'lo\n');
    const [container] = await left();
    assert.deepEqual((await engine.container(container!.id)).mounts.map(({ source, destination }) => ({ source, destination })), [{ source: folder, destination: VOLUME_ROOT }]);
  });

  it('hands every argument over unchanged, keeps the outputs apart and tells the exit code', async () => {
    const host = await start();
    const args = ['a b', "it's", '$(id)', '"', '\\', 'a\nb', '*', '', '-x', 'é€', ';|&<>'];
    assert.deepEqual((await host.exec(['printf', '%s\\0', ...args])).stdout.split('\0').slice(0, -1), args);
    assert.deepEqual(await host.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'], { okCodes: [3] }), { code: 3, stdout: 'out\n', stderr: 'err\n' });
    assert.match((await failure(host.exec(['sh', '-c', 'echo some reason >&2; exit 7']), 'CommandFailed')).message, /ended with 7: some reason/);
    await failure(host.exec(['no-such-command-here']), 'NotFound');
  });

  it('misses nothing of commands that end at once, one after another and many at a time', async () => {
    const host = await start();
    for (let n = 0; n < 10; n++) assert.equal((await host.exec(['echo', String(n)])).stdout, `${n}\n`);
    const results = await Promise.all(Array.from({ length: 20 }, (_, n) => host.exec(['echo', String(n)])));
    assert.deepEqual(results.map(({ stdout }) => Number(stdout)), Array.from({ length: 20 }, (_, n) => n));
  });

  it('carries 64 MiB there and back unchanged, the input ending where its source ends', async () => {
    const host = await start();
    const child = await host.spawn(['cat']);
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    await Promise.all([pipeline(Readable.from(noise(64, sent)), child.stdin), pipeline(child.stdout, async (stream: AsyncIterable<Buffer>) => {
      for await (const chunk of stream) received.update(chunk);
    })]);
    assert.equal((await child.exit).code, 0);
    assert.equal(received.digest('hex'), sent.digest('hex'));
    assert.equal((await host.exec(['wc', '-c'])).stdout.trim(), '0');
  });

  it('ends the command, its children and one that will not go, when it is killed, and leaves the container fit for more', async () => {
    const host = await start();
    for (const script of ['sleep MARK & sleep MARK', 'trap "" TERM; sleep MARK']) {
      const mark = unusual();
      const child = await host.spawn(['sh', '-c', script.replaceAll('MARK', mark)]);
      assert.equal(await runs(`sleep\0${mark}`), true);
      await child.kill();
      await child.kill();
      assert.equal(await runs(`sleep\0${mark}`), false);
    }
    assert.equal((await host.exec(['echo', 'fit'])).stdout, 'fit\n');
  });

  it('ends the command and rejects with the reason when the signal fires, and with Stalled when nothing moves', async () => {
    const host = await start();
    const seconds = unusual();
    const controller = new AbortController();
    const reason = new Error('cancelled by a person');
    const running = host.exec(['sleep', seconds], { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 500);
    await assert.rejects(running, (error) => error === reason);
    assert.equal(await runs(`sleep\0${seconds}`), false);
    await failure(host.exec(['sleep', seconds], { stallMs: 1_500 }), 'Stalled');
    assert.equal(await runs(`sleep\0${seconds}`), false);
  });

  it('leaves no command that goes on, at whatever moment of its beginning the signal fires', async () => {
    const host = await start();
    for (const after of [0, 5, 10, 20, 40, 60, 80, 120]) {
      const seconds = unusual();
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('cancelled')), after);
      await assert.rejects(host.exec(['sleep', seconds], { signal: controller.signal }), /cancelled/);
      assert.equal(await runs(`sleep\0${seconds}`), false, `cancelled after ${after} ms`);
    }
  });

  it('shows an error, not a clean end of the output, when the command is killed by someone else', async () => {
    const host = await start();
    for (const script of ['echo part; kill -9 $$', 'echo part; kill -9 $PPID']) {
      const child = await host.spawn(['sh', '-c', script]);
      await failure((async () => {
        for await (const chunk of child.stdout as AsyncIterable<Buffer>) void chunk;
      })(), 'CommandFailed');
    }
  });

  it('is lost with its connection: the commands end with an error that may be tried again, and nothing is left on the node', async () => {
    const host = await start();
    const mark = unusual();
    const child = await host.spawn(['sh', '-c', `echo part; exec sleep ${mark}`]);
    let text = '';
    const reading = (async () => {
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        text += chunk.toString();
        cutAll();
      }
    })();
    assert.equal((await failure(reading, 'EngineUnavailable')).retryable, true);
    await failure(child.exit, 'EngineUnavailable');
    assert.equal(text, 'part\n');
    await failure(host.exec(['true']), 'EngineUnavailable');
    await noneLeft();
    assert.equal(await runs(`sleep\0${mark}`), false);
  });

  it('ends a command whose own connection is reset, here and there, and goes on with the next', async () => {
    const host = await start();
    const mark = unusual();
    const child = await host.spawn(['sh', '-c', `echo part; exec sleep ${mark}`]);
    const reading = (async () => {
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) if (chunk.toString() === 'part\n') assert.equal(resetExecs(), 1);
    })();
    assert.equal((await failure(reading, 'EngineUnavailable')).retryable, true);
    await failure(child.exit, 'EngineUnavailable');
    assert.equal(await runs(`sleep\0${mark}`), false);
    assert.equal((await host.exec(['echo', 'fit'])).stdout, 'fit\n');
  });

  it('does not call it a stall when our own source pauses, and does when the command hangs after its input', async () => {
    await feedPatiently(await start());
  });

  it('does not call a command stalled that has ended while our reader still holds the last of its output', async () => {
    await readSlowly(await start());
  });

  it('goes with its worker when that is killed', async () => {
    const mark = unusual();
    const script = `
      const { connectEngine } = require('./adapters/docker/dockerode');
      const { openContainerHost } = require('./adapters/host/container');
      openContainerHost(connectEngine({ socketPath: ${JSON.stringify(SOCKET)} }), 'helper', ${JSON.stringify({ image: IMAGE, source: folder, labels })})
        .then((host) => host.spawn(['sleep', '${mark}'])).then(() => console.log('runs'));`;
    const worker = spawn(process.execPath, ['--import', 'tsx', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(worker.stdout, 'data');
    assert.equal(await runs(`sleep\0${mark}`), true);
    worker.kill('SIGKILL');
    await noneLeft();
    assert.equal(await runs(`sleep\0${mark}`), false);
  });

  it('says which image it needs when the one at hand has no shell', async () => {
    const bare = `drydock-test-bare:${LABEL[1]}`;
    execFileSync('docker', ['import', '-', bare], { input: Buffer.alloc(10_240), stdio: ['pipe', 'ignore', 'inherit'] });
    try {
      const error = await failure(start({ image: bare }), 'Refused');
      assert.match(error.remedy ?? '', /set policy\.helperImage to an image with a shell and GNU tar/);
    } finally {
      execFileSync('docker', ['rmi', '--force', bare], { stdio: 'ignore' });
    }
    await failure(start({ image: 'no/such:image' }), 'NotFound');
  });

  it('gives 10,000 small blobs in a few streams, no round trip each', async () => {
    const blobs = Array.from({ length: 10_000 }, (_, n) => Buffer.from(`blob ${n}`)).map((data) => ({ data, sha256: createHash('sha256').update(data).digest('hex') }));
    const root = path.join(folder, 'docker-volume');
    for (const { data, sha256 } of blobs) {
      const file = path.join(root, sha256BlobPath(sha256));
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, data);
    }
    const scratch = await scratchVault();
    try {
      let commands = 0;
      const counted: Engine = Object.assign(Object.create(engine) as Engine, { exec: (...args: Parameters<Engine['exec']>) => ((commands += 1), engine.exec(...args)) });
      const host = await openContainerHost(counted, 'the helper container', { image: IMAGE, source: root, labels });
      open.push(host);
      const wanted = [];
      for await (const blob of listBlobs(host, VOLUME_ROOT)) wanted.push(blob);
      assert.equal(wanted.length, blobs.length);
      const { stored, void: torn, vanished } = await copyBlobs({ host, root: VOLUME_ROOT, wanted, streams: 2, writer: { vault: scratch.vault, cluster: 'lab', keys: writeKeys, writtenBy: 'test', segmentBytes: 1 << 26 } });
      assert.deepEqual([stored.blobs, torn, vanished], [blobs.length, [], []]);
      let hashed = 0;
      for await (const { sha256, path: name } of hashFiles(host, VOLUME_ROOT, wanted.map(({ path: of }) => of))) hashed += Number(name.includes(sha256));
      assert.equal(hashed, blobs.length);
      assert.ok(commands < 40, `${commands} commands`);
    } finally {
      await scratch.remove();
    }
  });
});
