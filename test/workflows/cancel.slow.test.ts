import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Activities } from '../../activities/contract';
import { playActivities } from './fixtures/activities';
import { failureOf, until, withRun } from './fixtures/harness';

/** A step that hears of its cancel and still needs a moment to end, as one does that stops the vendor's command. */
function slowToEnd(calls: string[], name: string): () => Promise<never> {
  return async () => {
    try {
      for (;;) {
        Context.current().heartbeat();
        await Context.current().sleep(100);
      }
    } finally {
      await wait(1500);
      calls.push(`${name} ended`);
    }
  };
}

describe('a cancelled run', function () {
  this.timeout(60_000);

  const cases: { type: string; step: keyof Activities; gates?: string[]; after: string }[] = [
    { type: 'backup', step: 'freeze', after: 'thaw' },
    { type: 'backup', step: 'seal', after: 'cleanUp' },
    { type: 'restore', step: 'stopReplica', gates: ['plan'], after: 'startReplica' },
  ];
  for (const { type, step, gates, after } of cases) {
    it(`begins ${after} only when ${step} has ended`, async () => {
      const order: string[] = [];
      const begun = playActivities();
      const { activities, calls } = playActivities({
        [step]: slowToEnd(order, step),
        [after]: async (input: never) => {
          order.push(after);
          return (begun.activities[after as keyof Activities] as (input: never) => Promise<never>)(input);
        },
      });
      await withRun(type, activities, async (run) => {
        for (const gate of gates ?? []) {
          await run.gate(gate);
          await run.decide({});
        }
        await until(async () => calls.includes(step) || undefined, step);
        await run.handle.cancel();
        assert.equal((await failureOf(run.handle.result())).type, 'Cancelled');
      });
      assert.deepEqual(order, [`${step} ended`, after]);
    });
  }

  it('says for which step it waits', async () => {
    const { activities, calls } = playActivities({ stopReplica: slowToEnd([], 'stopReplica') });
    await withRun('restore', activities, async (run) => {
      await run.gate('plan');
      await run.decide({});
      await until(async () => calls.includes('stopReplica') || undefined, 'the stop');
      await run.handle.cancel();
      await until(async () => ((await run.state()).cancelling === true ? true : undefined), 'the run to know of it');
      const { currentDetails } = await run.handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
      assert.match(currentDetails ?? '', /^\*\*Cancelling:\*\* waiting for \*Stop\* to end\./);
      await failureOf(run.handle.result());
    });
  });
});
