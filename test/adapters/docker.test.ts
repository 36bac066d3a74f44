import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type net from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type tls from 'node:tls';
import { connectEngine } from '../../adapters/docker/dockerode';
import type { Engine } from '../../adapters/docker/engine';
import { cutAll, SOCKET, tlsDoor } from '../helpers/docker-door';
import { failure } from '../helpers/failure';
import { noise } from '../helpers/noise';
import { TestCa } from '../helpers/pki';

const IMAGE = 'debian:bookworm-slim';
const LABEL = `drydock.test=${randomBytes(4).toString('hex')}`;
const labels = Object.fromEntries([LABEL.split('=') as [string, string]]);

describe('a Docker Engine', function () {
  this.timeout(120_000);
  let ca: TestCa;
  let door: tls.Server;
  const engines: Record<string, Engine> = {};

  before(async () => {
    ca = new TestCa();
    door = await tlsDoor(ca);
    const { port } = door.address() as net.AddressInfo;
    engines['the socket'] = connectEngine({ socketPath: SOCKET });
    engines['mutual TLS'] = connectEngine({ host: '127.0.0.1', port, ca: ca.cert, ...ca.issue([]) });
  });
  after(async () => {
    Object.values(engines).forEach((engine) => engine.close());
    cutAll();
    door.close();
    ca.remove();
  });
  afterEach(async () => {
    const engine = engines['the socket']!;
    const left = await engine.containers({ labels: [LABEL] });
    for (const { id } of left) await engine.removeContainer(id, { force: true });
    assert.deepEqual(left.map(({ state }) => state), [], 'a run left a container behind');
  });

  for (const way of ['the socket', 'mutual TLS']) {
    describe(`through ${way}`, () => {
      const engine = () => engines[way]!;
      const sh = (script: string) => ({ image: IMAGE, command: ['sh', '-c', script], labels });

      it('tells its version', async () => {
        const info = await engine().info();
        assert.match(info.serverVersion, /^\d+\./);
        assert.equal(info.isUcp, false);
      });

      it('keeps standard output and standard error of a run apart and gives the exit code, each time', async () => {
        for (let n = 0; n < 5; n++) {
          const lines: string[] = [];
          const result = await engine().run({ ...sh('echo out; echo one >&2; printf two >&2; exit 5'), onStderrLine: (line) => lines.push(line) });
          assert.deepEqual({ ...result, stdout: result.stdout.toString() }, { exitCode: 5, stdout: 'out\n', stderr: 'one\ntwo' });
          assert.deepEqual(lines, ['one', 'two']);
        }
      });

      it('carries 100 MiB in and out unchanged, standard input ending where the source ends', async () => {
        const sent = createHash('sha256');
        const received = createHash('sha256');
        let size = 0;
        const result = await engine().run({
          ...sh('cat; echo done >&2'),
          stdin: Readable.from(noise(100, sent)),
          onStdout: async (stream) => {
            for await (const chunk of stream as AsyncIterable<Buffer>) {
              received.update(chunk);
              size += chunk.length;
            }
          },
        });
        assert.equal(size, 100 * 1024 * 1024);
        assert.equal(received.digest('hex'), sent.digest('hex'));
        assert.deepEqual([result.exitCode, result.stderr], [0, 'done\n']);
      });

      it('does not hang when the container ends early with most of a large input unread', async () => {
        const started = Date.now();
        const result = await engine().run({ ...sh('head -c 10 >/dev/null; echo bad archive >&2; exit 1'), stdin: Readable.from(noise(300, createHash('sha256'))) });
        assert.deepEqual([result.exitCode, result.stderr], [1, 'bad archive\n']);
        assert.ok(Date.now() - started < 15_000);
      });

      it('holds the container back while the reader of its output is slow', async () => {
        let largest = 0;
        const before = process.memoryUsage().rss;
        const result = await engine().run({
          ...sh('head -c 209715200 /dev/zero'),
          onStdout: async (stream) => {
            await sleep(1_500);
            largest = process.memoryUsage().rss - before;
            for await (const chunk of stream as AsyncIterable<Buffer>) void chunk;
          },
        });
        assert.equal(result.exitCode, 0);
        assert.ok(largest < 60 * 1024 * 1024, `grew by ${largest} bytes`);
      });

      it('kills and removes the container when the signal fires, and rejects with its reason', async () => {
        const controller = new AbortController();
        const reason = new Error('cancelled by a person');
        setTimeout(() => controller.abort(reason), 1_000);
        await assert.rejects(engine().run({ ...sh('sleep 600'), signal: controller.signal }), (error) => error === reason);
        assert.deepEqual(await engine().containers({ labels: [LABEL] }), []);
      });

      it('kills the container, and never closes its input, when the source of the input fails', async () => {
        const source = Readable.from((function* () {
          yield Buffer.from('first part');
          throw new Error('the source broke');
        })());
        let output = '';
        const run = engine().run({ ...sh('cat; echo took it for complete'), stdin: source, onStdout: async (stream) => {
          for await (const chunk of stream as AsyncIterable<Buffer>) output += chunk.toString();
        } });
        await assert.rejects(run, /the source broke/);
        assert.doesNotMatch(output, /complete/);
      });

      it('kills the container when the reader of its output fails', async () => {
        const run = engine().run({ ...sh('yes'), onStdout: async (stream) => {
          for await (const chunk of stream as AsyncIterable<Buffer>) throw new Error(`not what was expected: ${chunk.length > 0}`);
        } });
        await assert.rejects(run, /not what was expected/);
      });

      it('fails with Stalled when the container is silent for too long, and kills it', async () => {
        await failure(engine().run({ ...sh('sleep 600'), stallMs: 1_000 }), 'Stalled');
      });

      it('says which image is missing', async () => {
        const error = await failure(engine().run({ image: 'docker/dtr:9.9.9', command: ['backup'], labels }), 'NotFound');
        assert.match(error.message, /docker\/dtr:9\.9\.9/);
        assert.match(error.remedy ?? '', /load or pull/);
        assert.equal(await engine().hasImage('docker/dtr:9.9.9'), false);
        assert.equal(await engine().hasImage(IMAGE), true);
      });

      it('removes the container when it cannot be started, and keeps the values of its environment out of the error', async () => {
        const error = await engine().run({ image: IMAGE, command: ['/hunter2-secret'], env: { UCP_PASSWORD: '/hunter2-secret' }, labels }).then(() => undefined, (e: unknown) => e as Error);
        assert.ok(error !== undefined);
        assert.doesNotMatch(`${error.message} ${JSON.stringify(error)} ${String(error.cause)}`, /hunter2/);
      });

      it('starts, finds, describes, stops and removes a background container and its volume', async () => {
        const volume = `drydock-test-${randomBytes(4).toString('hex')}`;
        const id = await engine().start({ image: IMAGE, command: ['sleep', '600'], env: { NAME: 'a=b' }, labels, binds: [`${volume}:/held`] });
        const details = await engine().container(id);
        assert.equal(details.running, true);
        assert.equal(details.env.NAME, 'a=b');
        assert.deepEqual(details.mounts.map(({ type, name, destination }) => ({ type, name, destination })), [{ type: 'volume', name: volume, destination: '/held' }]);
        assert.deepEqual((await engine().containers({ name: details.name, labels: [LABEL] })).map((c) => c.names), [[details.name]]);
        assert.equal((await engine().volume(volume))?.driver, 'local');
        assert.ok((await engine().volumes()).some(({ name }) => name === volume));
        await failure(engine().removeVolume(volume), 'Conflict');
        await engine().startContainer(id);
        await engine().stopContainer(id, 0);
        for (let n = 0; n < 50 && (await engine().containers({ labels: [LABEL] })).length > 0; n++) await sleep(100);
        await engine().removeContainer(id, { force: true });
        await engine().removeVolume(volume);
        await engine().removeVolume(volume);
        assert.equal(await engine().volume(volume), null);
        await failure(engine().container(id), 'NotFound');
      });
    });
  }

  it('does not call a run stalled that has ended while our reader still holds the last of its output', async () => {
    const result = await engines['the socket']!.run({ image: IMAGE, command: ['echo', 'all'], labels, stallMs: 1_500, onStdout: async (stream) => {
      for await (const chunk of stream as AsyncIterable<Buffer>) if (chunk.length > 0) await sleep(3_500);
    } });
    assert.equal(result.exitCode, 0);
  });

  it('does not call a run stalled while our own source is slow, and does when the command takes nothing or hangs after its input', async () => {
    const engine = engines['the socket']!;
    const run = (script: string, stdin: Readable) => engine.run({ image: IMAGE, command: ['sh', '-c', script], labels, stallMs: 1_500, stdin });
    async function* pausing(): AsyncGenerator<Buffer> {
      await sleep(3_500);
      yield Buffer.alloc(300_000);
      await sleep(3_500);
      yield Buffer.alloc(300_000);
    }
    assert.equal((await run('test "$(wc -c)" -eq 600000', Readable.from(pausing()))).exitCode, 0);
    await Promise.all([
      failure(run('exec sleep 600', Readable.from(noise(50, createHash('sha256')))), 'Stalled'),
      failure(run('cat > /dev/null; exec sleep 600', Readable.from([Buffer.alloc(1000)])), 'Stalled'),
    ]);
  });

  describe('refusals', () => {
    const port = () => (door.address() as net.AddressInfo).port;

    it('does not talk to an engine whose certificate another authority signed', async () => {
      const other = new TestCa('Other CA');
      const engine = connectEngine({ host: '127.0.0.1', port: port(), ca: other.cert, ...other.issue([]) });
      await failure(engine.info(), 'TlsRejected');
      other.remove();
    });

    it('says that the client certificate is not accepted when another authority signed it', async () => {
      // Not the door above: Node resets such connections, where UCP (like OpenSSL) sends an alert.
      const server = ca.issue(['IP:127.0.0.1']);
      writeFileSync(path.join(ca.dir, 'server.pem'), server.cert + server.key);
      const strict = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', '-cert', 'server.pem', '-CAfile', 'ca.pem', '-Verify', '1', '-verify_return_error', '-www'], { cwd: ca.dir });
      let banner = '';
      while (!/ACCEPT .*:\d+/.test(banner)) banner += String((await once(strict.stdout, 'data'))[0]);
      const other = new TestCa('Other CA');
      const engine = connectEngine({ host: '127.0.0.1', port: Number(/ACCEPT .*:(\d+)/.exec(banner)?.[1]), ca: ca.cert, ...other.issue([]) });
      const error = await failure(engine.info(), 'AuthRejected');
      assert.match(error.remedy ?? '', /bundle/);
      strict.kill();
      other.remove();
    });

    it('says that the engine cannot be reached when nobody listens', async () => {
      const error = await failure(connectEngine({ host: '127.0.0.1', port: 9, ca: ca.cert, ...ca.issue([]) }).info(), 'EngineUnavailable');
      assert.equal(error.retryable, true);
      await failure(connectEngine({ socketPath: '/nowhere.sock' }).nodes(), 'EngineUnavailable');
    });

    it('fails, and shows no clean end of the output, when the connection is cut in the middle', async () => {
      let ended = false;
      const run = engines['mutual TLS']!.run({ image: IMAGE, command: ['sh', '-c', 'echo part; sleep 600'], labels, onStdout: async (stream) => {
        for await (const chunk of stream as AsyncIterable<Buffer>) if (chunk.toString() === 'part\n') cutAll();
        ended = true;
      } });
      await failure(run, 'EngineUnavailable');
      assert.equal(ended, false);
    });
  });
});
