/** All proxies and their timeouts in one place. Every activity heartbeats, so a dead worker is noticed within HEARTBEAT. */
import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/contract';

const HEARTBEAT = '30s';
/** What undoes a step begins when that step has ended. The SDK's own default does not wait. */
const cancellationType = 'WAIT_CANCELLATION_COMPLETED';

/** Short calls: a few attempts, then the person hears of it. */
export const quick = proxyActivities<Activities>({
  cancellationType,
  startToCloseTimeout: '15m',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s', maximumAttempts: 5 },
});

/** Streams of any length: bounded by attempts, not by size; stalls are noticed by the streams themselves. */
export const long = proxyActivities<Activities>({
  cancellationType,
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 12 },
});

/** Streams to a part that is not needed for the result: after a few attempts it is a warning. */
export const few = proxyActivities<Activities>({
  cancellationType,
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 3, maximumInterval: '30s', maximumAttempts: 4 },
});

/** What must be put back: tried for days, since a registry that stays frozen is the worst outcome. */
export const untilDone = proxyActivities<Activities>({
  cancellationType,
  startToCloseTimeout: '15m',
  scheduleToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m' },
});
