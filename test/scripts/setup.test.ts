import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

interface LockModule {
  withLock<T>(file: string, work: () => Promise<T>): Promise<T>;
}
interface DependenciesModule {
  checkNode(version: string): void;
}
interface VersitygwModule {
  findVersitygw(options: { env: NodeJS.ProcessEnv; bin: string }): string | undefined;
}
interface TemporalModule {
  findTemporal(options: { env: NodeJS.ProcessEnv; bin: string }): string | undefined;
}

/** Set-up is plain JavaScript, because it runs before any package is there. */
const load = (name: string): Promise<unknown> => import(pathToFileURL(path.resolve(__dirname, '..', '..', 'scripts', name)).href);

/** Above every process id that Linux gives. */
const NO_PROCESS = 2 ** 22 + 1;

describe('set-up', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'drydock-setup-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('lets one set-up work at a time', async () => {
    const { withLock } = (await load('lib/lock.mjs')) as LockModule;
    const file = path.join(folder, 'lock');
    const events: string[] = [];
    const work = (name: string) => async (): Promise<void> => {
      events.push(`${name} begins`);
      await sleep(100);
      events.push(`${name} ends`);
    };
    await Promise.all([withLock(file, work('first')), withLock(file, work('second'))]);
    assert.deepEqual(events, ['first begins', 'first ends', 'second begins', 'second ends']);
    assert.equal(existsSync(file), false);
  });

  it('takes the lock of a dead process over', async () => {
    const { withLock } = (await load('lib/lock.mjs')) as LockModule;
    const file = path.join(folder, 'lock');
    writeFileSync(file, String(NO_PROCESS));
    assert.equal(await withLock(file, () => Promise.resolve('done')), 'done');
  });

  it('gives the lock free when the work fails', async () => {
    const { withLock } = (await load('lib/lock.mjs')) as LockModule;
    const file = path.join(folder, 'lock');
    await assert.rejects(withLock(file, () => Promise.reject(new Error('broken'))), /broken/);
    assert.equal(existsSync(file), false);
  });

  for (const version of ['18.20.4', '20.18.1']) {
    it(`refuses Node ${version} and says which is needed`, async () => {
      const { checkNode } = (await load('setup/dependencies.mjs')) as DependenciesModule;
      assert.throws(() => checkNode(version), new RegExp(`needs Node 20\\.19 or newer; this is Node ${version}`));
    });
  }

  for (const version of ['20.19.0', '22.1.0', '24.0.0']) {
    it(`accepts Node ${version}`, async () => {
      const { checkNode } = (await load('setup/dependencies.mjs')) as DependenciesModule;
      assert.doesNotThrow(() => checkNode(version));
    });
  }

  it('takes the Temporal CLI that TEMPORAL_CLI_PATH names before any other', async () => {
    const { findTemporal } = (await load('setup/temporal.mjs')) as TemporalModule;
    const named = path.join(folder, 'my-temporal');
    writeFileSync(named, '#!/bin/sh\n', { mode: 0o755 });
    assert.equal(findTemporal({ env: { TEMPORAL_CLI_PATH: named }, bin: folder }), named);
  });

  it('does not take a file that cannot be executed for the Temporal CLI', async () => {
    const { findTemporal } = (await load('setup/temporal.mjs')) as TemporalModule;
    const named = path.join(folder, 'temporal');
    writeFileSync(named, 'text', { mode: 0o644 });
    assert.throws(() => findTemporal({ env: { TEMPORAL_CLI_PATH: named }, bin: folder }), /which is no program/);
  });

  it('finds the S3 server in the same way', async () => {
    const { findVersitygw } = (await load('setup/versitygw.mjs')) as VersitygwModule;
    const named = path.join(folder, 'versitygw');
    writeFileSync(named, '#!/bin/sh\n', { mode: 0o644 });
    assert.throws(() => findVersitygw({ env: { VERSITYGW_PATH: named }, bin: folder }), /which is no program/);
    chmodSync(named, 0o755);
    assert.equal(findVersitygw({ env: { VERSITYGW_PATH: named }, bin: '' }), named);
  });
});
