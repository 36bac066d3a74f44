/**
 * Heartbeats. Progress is reported by the steps themselves; between two reports the pulse repeats the last one, so that a worker that died
 * is noticed within seconds even while a step is rightly silent. That nothing moves is not for the pulse to hide: streams have their own
 * stall limits.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Context } from '@temporalio/activity';
import type { Heartbeat } from '../domain/contract';
import type { Patience } from './patience';

const PULSE_MS = 5_000;

interface Pulse {
  last: Heartbeat | undefined;
  patience: Patience;
}

const current = new AsyncLocalStorage<Pulse>();

/** Reports progress of the running activity; cheap enough to be called often (the SDK throttles). */
export function report(progress: Heartbeat): void {
  const pulse = current.getStore();
  if (pulse) pulse.last = progress;
  Context.current().heartbeat(pulse ? pulse.patience.note(progress) : progress);
}

/** Runs an activity with a pulse, which also says how far the attempts have come. */
export async function withPulse<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const pulse: Pulse = { last: context.info.heartbeatDetails as Heartbeat | undefined, patience };
  const beat = (): void => context.heartbeat(patience.note(pulse.last));
  const timer = setInterval(beat, PULSE_MS);
  beat();
  try {
    return await current.run(pulse, work);
  } finally {
    clearInterval(timer);
  }
}
