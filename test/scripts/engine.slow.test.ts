import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface EngineOptions {
  folder: string;
  host: string;
  args: string[];
  launcher: string[];
}
interface EngineModule {
  startEngine(options: EngineOptions): Promise<void>;
  stopEngine(options: Pick<EngineOptions, 'folder' | 'host'>): Promise<boolean>;
  engineAnswers(host: string): Promise<boolean>;
}

const load = (): Promise<unknown> => import(pathToFileURL(path.resolve(__dirname, '..', '..', 'scripts', 'setup', 'engine.mjs')).href);

/** A process that ended may stay in the list until its parent looks. */
function isRunning(pid: number): boolean {
  const file = `/proc/${pid}/status`;
  return existsSync(file) && !/^State:\s+Z/m.test(readFileSync(file, 'utf8'));
}

describe('a Docker Engine of set-up', function () {
  this.timeout(180_000);
  let folder: string;
  let options: EngineOptions;
  let engine: EngineModule;

  before(async () => {
    engine = (await load()) as EngineModule;
    folder = mkdtempSync(path.join(os.tmpdir(), 'drydock-engine-'));
    // Beside the machine's own engine: other folders, and a network namespace of its own, so that its bridge and rules stay apart.
    const places = ['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--pidfile', `${folder}/docker.pid`];
    options = { folder, host: `unix://${folder}/docker.sock`, args: places, launcher: ['unshare', '--net'] };
  });
  after(async () => {
    await engine.stopEngine(options);
    rmSync(folder, { recursive: true, force: true });
  });

  it('is started, found running, and stopped again with nothing left', async () => {
    await engine.startEngine(options);
    assert.equal(await engine.engineAnswers(options.host), true);
    const { pid } = JSON.parse(readFileSync(path.join(folder, 'engine.json'), 'utf8')) as { pid: number };
    assert.equal(await engine.stopEngine(options), true);
    assert.equal(isRunning(pid), false);
    assert.equal(await engine.engineAnswers(options.host), false);
  });

  it('is left running while a container runs on it', async () => {
    await engine.startEngine(options);
    const docker = (...args: string[]): string => execFileSync('docker', ['--host', options.host, ...args], { encoding: 'utf8' });
    execFileSync('sh', ['-c', 'docker save debian:bookworm-slim | docker --host "$0" load --quiet', options.host]);
    docker('run', '--detach', '--name', 'busy', '--network', 'none', 'debian:bookworm-slim', 'sleep', '600');
    assert.equal(await engine.stopEngine(options), false);
    docker('rm', '--force', 'busy');
    assert.equal(await engine.stopEngine(options), true);
  });

  it('is not stopped when set-up did not start it', async () => {
    const other = mkdtempSync(path.join(os.tmpdir(), 'drydock-engine-'));
    assert.equal(await engine.stopEngine({ folder: other, host: options.host }), false);
    rmSync(other, { recursive: true });
  });
});
