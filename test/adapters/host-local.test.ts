import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { localHost } from '../../adapters/host/local';
import { failure } from '../helpers/failure';
import { noise } from '../helpers/noise';
import { feedPatiently, readSlowly } from '../helpers/patient-feed';

describe('this machine as a host', function () {
  this.timeout(30_000);
  const host = localHost('here');

  it('hands arguments over unchanged and keeps the two outputs apart', async () => {
    const args = ['a b', "it's", '$(id)', '', 'a\nb'];
    assert.deepEqual((await host.exec(['printf', '%s\\0', ...args])).stdout.split('\0').slice(0, -1), args);
    assert.deepEqual(await host.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'], { okCodes: [3] }), { code: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  it('fails as over SSH for an unexpected exit code and for a command that is not there', async () => {
    assert.match((await failure(host.exec(['sh', '-c', 'echo why >&2; exit 7']), 'CommandFailed')).message, /here: .* ended with 7: why/);
    await failure(host.exec(['no-such-command-here']), 'NotFound');
  });

  it('carries 64 MiB through a command unchanged', async () => {
    const child = await host.spawn(['cat']);
    const sent = createHash('sha256');
    const received = createHash('sha256');
    await Promise.all([pipeline(Readable.from(noise(64, sent)), child.stdin), pipeline(child.stdout, async (stream: AsyncIterable<Buffer>) => {
      for await (const chunk of stream) received.update(chunk);
    })]);
    assert.equal((await child.exit).code, 0);
    assert.equal(received.digest('hex'), sent.digest('hex'));
  });

  it('ends the command instead of closing its input when the source fails', async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'drydock-local-'));
    const target = path.join(dir, 'complete');
    const source = Readable.from((function* () {
      yield Buffer.from('first part');
      throw new Error('the source broke');
    })());
    await assert.rejects(host.exec(['sh', '-c', 'cat >/dev/null; touch "$1"', 'sh', target], { input: source }), /the source broke/);
    await sleep(200);
    assert.equal(existsSync(target), false);
    rmSync(dir, { recursive: true });
  });

  it('shows an error and not a clean end on standard output when the command is killed', async () => {
    const child = await host.spawn(['sh', '-c', 'echo part; kill -9 $$']);
    const reading = (async () => {
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) void chunk;
    })();
    await failure(reading, 'CommandFailed');
    assert.match((await failure(host.exec(['sh', '-c', 'kill -9 $$']), 'CommandFailed')).message, /KILL/);
  });

  it('does not call it a stall when our own source pauses, and does when the command hangs after its input', async () => {
    await feedPatiently(host, 400);
  });

  it('does not call a command stalled that has ended while our reader still holds the last of its output', async () => {
    await readSlowly(host, 400);
  });

  it('ends a silent command with Stalled, and one whose signal fires with the signal\'s reason', async () => {
    await failure(host.exec(['sleep', '600'], { stallMs: 200 }), 'Stalled');
    const controller = new AbortController();
    const reason = new Error('cancelled by a person');
    setTimeout(() => controller.abort(reason), 100);
    await assert.rejects(host.exec(['sleep', '600'], { signal: controller.signal }), (error) => error === reason);
  });
});
