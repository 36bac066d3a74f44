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
interface Program {
  name: string;
  variable: string;
}
interface ProgramModule {
  findProgram(program: Program, options: { env: NodeJS.ProcessEnv; bin: string }): string | undefined;
  ensureProgram(program: Program, fetch: (target: string) => Promise<void>, options: { bin: string }): Promise<string>;
  acceptProgram(program: Program, fetched: string, target: string): Promise<void>;
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

  const programs = async (): Promise<Program[]> => {
    const { TEMPORAL } = (await load('setup/temporal.mjs')) as { TEMPORAL: Program };
    const { VERSITYGW } = (await load('setup/versitygw.mjs')) as { VERSITYGW: Program };
    return [TEMPORAL, VERSITYGW];
  };

  it('takes the program that its variable names before any other, and no file that cannot be executed', async () => {
    const { findProgram } = (await load('setup/fetched-program.mjs')) as ProgramModule;
    for (const program of await programs()) {
      const named = path.join(folder, `my-${program.name}`);
      writeFileSync(named, '#!/bin/sh\n', { mode: 0o644 });
      const find = () => findProgram(program, { env: { [program.variable]: named }, bin: folder });
      assert.throws(find, new RegExp(`${program.variable} names .* which is no program`));
      chmodSync(named, 0o755);
      assert.equal(find(), named);
    }
  });

  it('fetches a program once that is nowhere, and keeps none that does not run', async () => {
    const { ensureProgram, acceptProgram } = (await load('setup/fetched-program.mjs')) as ProgramModule;
    const program = { name: `drydock-test-${process.pid}`, variable: 'DRYDOCK_TEST_PROGRAM' };
    const fetched = path.join(folder, 'fetched');
    let fetches = 0;
    const ensure = (script: string) =>
      ensureProgram(program, async (target) => {
        fetches += 1;
        writeFileSync(fetched, script, { mode: 0o755 });
        await acceptProgram(program, fetched, target);
      }, { bin: folder }); // prettier-ignore
    await assert.rejects(ensure('#!/bin/sh\necho broken; exit 1\n'), /does not run: broken/);
    const there = await ensure('#!/bin/sh\n');
    assert.equal(there, path.join(folder, program.name));
    assert.equal(await ensure('#!/bin/sh\n'), there);
    assert.equal(fetches, 2);
  });
});
