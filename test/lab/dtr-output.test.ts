import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ENTRY = path.resolve('lab/dtr/main.ts');
/** Linux gives a pipe 64 KiB; so much stands in it before the bootstrapper writes. */
const ALREADY_THERE = 65_000;

describe('the bootstrapper of the stand-in', function () {
  this.timeout(60_000);
  let folder: string;
  const open: number[] = [];

  before(() => (folder = mkdtempSync(path.join(tmpdir(), 'dtr-output-'))));
  after(() => {
    open.forEach((descriptor) => closeSync(descriptor));
    rmSync(folder, { recursive: true, force: true });
  });

  /** A pipe that is almost full: whoever writes to it has to wait for its reader. */
  function crowdedPipe(): { file: string; descriptor: number } {
    const file = path.join(folder, 'output');
    assert.equal(spawnSync('mkfifo', [file]).status, 0);
    // Reading and writing, so that opening does not wait for the other side.
    const descriptor = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
    open.push(descriptor);
    writeSync(descriptor, Buffer.alloc(ALREADY_THERE, '.'));
    return { file, descriptor };
  }

  it('ends only when a slow reader has taken all of its output', async () => {
    const env = { ...process.env, DTR_ROLE: 'bootstrapper', DTR_VERSION: '2.9.4', DTR_ORG: 'mirantis' };
    const args = ['--import', 'tsx', ENTRY, 'install', '--help'];
    const whole = spawnSync(process.execPath, args, { env, encoding: 'utf8' }).stdout;
    assert.ok(whole.length > 1_000);

    const { file, descriptor } = crowdedPipe();
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', descriptor, 'ignore'] });
    const ended = once(child, 'exit');
    await Promise.race([ended, sleep(4_000)]);
    const reader = spawn('head', ['-c', String(ALREADY_THERE + whole.length), file], { stdio: ['ignore', 'pipe', 'ignore'], timeout: 10_000 });
    let received = '';
    for await (const chunk of reader.stdout.setEncoding('utf8') as AsyncIterable<string>) received += chunk;
    assert.equal(received.slice(ALREADY_THERE), whole);
    assert.deepEqual(await ended, [0, null]);
  });
});
