/**
 * All proxies and their patience in one place. Every activity heartbeats, so a dead worker is noticed within HEARTBEAT. Each proxy waits for a
 * cancelled step to end, so that nothing is put back beside the step that still changes it; the SDK's default would not wait, whatever its
 * documentation says, and lint holds this.
 */
import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/contract';

const HEARTBEAT = '30s';

/** Before anything is at stake: a few attempts, then the person hears of it. */
export const quick = proxyActivities<Activities>({
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  startToCloseTimeout: '15m',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s', maximumAttempts: 5 },
});

/** Steps of any length. Neither size nor the number of attempts ends them, but attempts in a row that got nowhere (activities/patience.ts). */
export const long = proxyActivities<Activities>({
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m' },
});

/** Behind the point of no return: whatever may mend itself is waited for, since giving up would cost far more than waiting does. */
export const patient = proxyActivities<Activities>({
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  startToCloseTimeout: '7 days',
  scheduleToCloseTimeout: '30 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m' },
});

/** Steps that may take as long as something moves (images are pulled), and that a person hears of, or is warned of, after a few attempts. */
export const few = proxyActivities<Activities>({
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  startToCloseTimeout: '7 days',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '2s', backoffCoefficient: 3, maximumInterval: '30s', maximumAttempts: 4 },
});

/** One round of putting something back; `PuttingBack` makes one after the other. */
export const round = proxyActivities<Activities>({
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  startToCloseTimeout: '15m',
  scheduleToCloseTimeout: '15m',
  heartbeatTimeout: HEARTBEAT,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
});
