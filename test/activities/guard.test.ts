import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { forCleanUp, Guard } from '../../activities/guard';
import type { Engine } from '../../adapters/docker/engine';
import type { Dtr } from '../../adapters/dtr/dtr';
import { localHost } from '../../adapters/host/local';
import { scratchVault } from '../helpers/vault';

/** What is not given up takes a minute, longer than any test may. */
const LIMITS = { calls: 150, cleanUp: 250, close: 300, vendor: 400 };
const CANCELLED = new Error('cancelled');

/** A connection of which each call is noted and takes so long. */
function slow<T>(calls: string[], ms: number): T {
  return new Proxy({}, { get: (_target, name) => async () => {
    calls.push(String(name));
    await sleep(ms, undefined, { ref: false });
    return name;
  } }) as T;
}

async function timed(work: Promise<unknown>): Promise<{ ms: number; error: unknown }> {
  const began = performance.now();
  const error: unknown = await work.then(() => undefined, (reason: unknown) => reason);
  return { ms: performance.now() - began, error };
}

describe('the guard of a step', () => {
  let cancel: AbortController;
  let guard: Guard;

  beforeEach(() => {
    cancel = new AbortController();
    guard = new Guard(cancel.signal, LIMITS);
  });

  it('lets no call begin once the step is cancelled', async () => {
    const calls: string[] = [];
    const engine = guard.engine(slow<Engine>(calls, 0));
    await engine.stopContainer('first');
    cancel.abort(CANCELLED);
    await assert.rejects(engine.stopContainer('second'), CANCELLED);
    await assert.rejects(engine.containers(), CANCELLED);
    assert.deepEqual(calls, ['stopContainer']);
  });

  it('waits for a call that changes something and had begun, but not for ever', async () => {
    const stopping = guard.engine(slow<Engine>([], 80)).stopContainer('first');
    const hanging = timed(guard.dtr(slow<Dtr>([], 60_000)).updateSettings({ readOnlyRegistry: true }));
    await sleep(10);
    cancel.abort(CANCELLED);
    assert.equal(await stopping, 'stopContainer', 'its result is known');
    const { ms, error } = await hanging;
    assert.equal(error, CANCELLED);
    assert.ok(ms >= 140, `${ms} ms`);
  });

  it('gives a call that only looks up at once', async () => {
    const patient = new Guard(cancel.signal, { ...LIMITS, calls: 60_000 });
    const looking = timed(patient.dtr(slow<Dtr>([], 60_000)).settings());
    await sleep(10);
    cancel.abort(CANCELLED);
    assert.equal((await looking).error, CANCELLED);
  });

  it('lets clean-up go on after the cancel, until the step must have ended', async () => {
    const calls: string[] = [];
    const engine = guard.engine(slow<Engine>(calls, 0));
    cancel.abort(CANCELLED);
    await forCleanUp(engine).removeContainer('helper', { force: true });
    assert.deepEqual(calls, ['removeContainer']);
    assert.equal((await timed(forCleanUp(guard.engine(slow<Engine>([], 60_000))).removeContainer('helper'))).error, CANCELLED);
  });

  it('ends a step that does not end by itself, and later one whose container has to be ended first', async () => {
    const close = async (): Promise<void> => undefined;
    const stuck = timed(guard.finish(sleep(60_000, undefined, { ref: false }), close));
    const other = new AbortController();
    const running = new Guard(other.signal, LIMITS);
    const vendors = timed(running.finish(running.engine(slow<Engine>([], 60_000)).run({ image: 'i', command: [] }), close));
    await sleep(10);
    cancel.abort(CANCELLED);
    other.abort(CANCELLED);
    const [first, second] = await Promise.all([stuck, vendors]);
    assert.ok(first.error === CANCELLED && first.ms >= 240, `${first.ms} ms`);
    assert.ok(second.error === CANCELLED && second.ms >= 540, `${second.ms} ms`);
  });

  it('ends a command on a host that was given no signal', async () => {
    const running = timed(guard.host(localHost()).exec(['sleep', '30'], { root: false }));
    await sleep(100);
    cancel.abort(CANCELLED);
    assert.ok((await running).ms < 20_000);
  });

  it('gives an object whose bytes were complete no name any more', async () => {
    const { vault: plain, remove } = await scratchVault();
    try {
      const vault = guard.vault(plain);
      const upload = await vault.upload('lab/segments/a');
      upload.stream.end('bytes');
      cancel.abort(CANCELLED);
      await assert.rejects(upload.commit(), CANCELLED);
      await assert.rejects(vault.put('lab/other', 'bytes'), CANCELLED);
      const names: string[] = [];
      for await (const { name } of plain.list('lab/')) names.push(name);
      assert.deepEqual(names, []);
    } finally {
      await remove();
    }
  });
});
