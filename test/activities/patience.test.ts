import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { classified } from '../../activities/failures';
import { FRUITLESS_ATTEMPTS } from '../../activities/patience';
import { report } from '../../activities/pulse';
import { DrydockError } from '../../domain/errors';

interface Outcome {
  failure: ApplicationFailure;
  /** What the server would hand to the next attempt. */
  heartbeat: unknown;
}

/** One attempt of a step that gets to `bytes` and is then cut off. */
async function attempt(number: number, heartbeat: unknown, bytes: number, policy: Record<string, unknown> = {}): Promise<Outcome> {
  const environment = new MockActivityEnvironment({ attempt: number, heartbeatDetails: heartbeat, scheduleToCloseTimeoutMs: 0, retryPolicy: {}, ...policy }, { logger: new DefaultLogger('ERROR') });
  let last: unknown = heartbeat;
  environment.on('heartbeat', (details: unknown) => (last = details));
  const { step } = classified({
    step: async (): Promise<void> => {
      report({ phase: 'copying', bytesDone: bytes });
      throw new DrydockError('HostUnreachable', 'node-1 closed the connection');
    },
  });
  const failure = await environment.run(step).then(() => assert.fail('it was cut off'), (error: unknown) => error);
  assert.ok(failure instanceof ApplicationFailure);
  return { failure, heartbeat: last };
}

describe('the patience with a long step', () => {
  it('does not end while each attempt gets further than those before', async () => {
    let heartbeat: unknown;
    for (let number = 1; number <= 40; number += 1) {
      const outcome = await attempt(number, heartbeat, number * 100);
      assert.equal(outcome.failure.nonRetryable, false);
      heartbeat = outcome.heartbeat;
    }
  });

  it('ends with the last of so many attempts in a row that got no further, and says so', async () => {
    let heartbeat: unknown = (await attempt(1, undefined, 100)).heartbeat;
    for (let number = 2; number <= FRUITLESS_ATTEMPTS; number += 1) {
      const outcome = await attempt(number, heartbeat, 100);
      assert.equal(outcome.failure.nonRetryable, false, `attempt ${number}`);
      heartbeat = outcome.heartbeat;
    }
    const { failure } = await attempt(FRUITLESS_ATTEMPTS + 1, heartbeat, 100);
    assert.deepEqual([failure.nonRetryable, failure.type, failure.message], [true, 'HostUnreachable', 'node-1 closed the connection (12 attempts in a row got no further)']);
  });

  it('begins anew when an attempt got further', async () => {
    let heartbeat: unknown;
    for (let number = 1; number <= 60; number += 1) {
      const outcome = await attempt(number, heartbeat, Math.ceil(number / 10) * 100);
      assert.equal(outcome.failure.nonRetryable, false, `attempt ${number}`);
      heartbeat = outcome.heartbeat;
    }
  });

  it('leaves steps alone whose attempts or time the workflow bounds', async () => {
    const heartbeat = { reached: { bytes: 100, items: 0, fruitless: 50 } };
    assert.equal((await attempt(51, heartbeat, 100, { scheduleToCloseTimeoutMs: 30 * 24 * 3600 * 1000 })).failure.nonRetryable, false);
    assert.equal((await attempt(2, heartbeat, 100, { retryPolicy: { maximumAttempts: 5 } })).failure.nonRetryable, false);
  });
});
