/** All proxies and their timeouts in one place. Every activity heartbeats, so a dead worker is noticed within HEARTBEAT. */
import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/contract';

const HEARTBEAT = '30s';

/** Short calls: a few attempts, then the person hears of it. */
export const quick = proxyActivities<Activities>({
  startToCloseTimeout: '15m',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s', maximumAttempts: 5 },
});

/** Streams of any length: bounded by attempts, not by size; stalls are noticed by the streams themselves. */
export const long = proxyActivities<Activities>({
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 12 },
});

/** Steps that may take as long as something moves (images are pulled), and that a person hears of, or is warned of, after a few attempts. */
export const few = proxyActivities<Activities>({
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 3, maximumInterval: '30s', maximumAttempts: 4 },
});

/** What must be put back: tried for days, since a registry that stays frozen is the worst outcome. */
export const untilDone = proxyActivities<Activities>({
  startToCloseTimeout: '15m',
  scheduleToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m' },
});
