/** How every kind of host treats an input and a reader of ours that take their time. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Host } from '../../adapters/host/host';
import { feedTar } from '../../adapters/images/restore';
import { failure } from './failure';

/** A source that pauses for longer than a stall goes on; a command that hangs once its input has ended is stalled. */
export async function feedPatiently(host: Host, stallMs = 1_000): Promise<void> {
  async function* pausing(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(300_000);
    await sleep(2.2 * stallMs);
    yield Buffer.alloc(300_000);
  }
  async function* short(): AsyncGenerator<Buffer> {
    yield await Promise.resolve(Buffer.alloc(300_000));
  }
  await feedTar(host, ['sh', '-c', 'test "$(wc -c)" -eq 600000'], pausing(), { stallMs });
  await failure(feedTar(host, ['sh', '-c', 'cat >/dev/null; exec sleep 60'], short(), { stallMs }), 'Stalled');
}

/** A reader that keeps the last piece of an output for longer than a stall still sees its clean end. */
export async function readSlowly(host: Host, stallMs = 1_000): Promise<void> {
  const child = await host.spawn(['echo', 'all'], { stallMs });
  child.stdin.end();
  let text = '';
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString();
    await sleep(2.2 * stallMs);
  }
  assert.equal(text, 'all\n');
  assert.equal((await child.exit).code, 0);
}
