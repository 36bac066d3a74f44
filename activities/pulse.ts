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
/** Before the phase of a step that was cancelled and has not ended yet. */
const ENDING = 'ending: ';

interface Pulse {
  last: Heartbeat | undefined;
  patience: Patience;
}

const current = new AsyncLocalStorage<Pulse>();

/** Reports progress of the running activity; cheap enough to be called often (the SDK throttles). */
export function report(progress: Heartbeat): void {
  const pulse = current.getStore();
  const context = Context.current();
  const said = context.cancellationSignal.aborted ? ending(progress) : progress;
  if (pulse) pulse.last = said;
  context.heartbeat(pulse ? pulse.patience.note(said) : said);
}

/** People wait for a cancelled step to end: its heartbeats say what it was at. */
function ending(progress: Heartbeat): Heartbeat {
  return progress.phase.startsWith(ENDING) ? progress : { ...progress, phase: `${ENDING}${progress.phase}` };
}

/** Runs an activity with a pulse, which also says how far the attempts have come. */
export async function withPulse<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const pulse: Pulse = { last: context.info.heartbeatDetails as Heartbeat | undefined, patience };
  const beat = (): void => context.heartbeat(patience.note(pulse.last));
  const timer = setInterval(beat, pulseOf(context.info.heartbeatTimeoutMs));
  const onCancel = (): void => {
    if (pulse.last?.phase !== undefined) pulse.last = ending(pulse.last);
    beat();
  };
  context.cancellationSignal.addEventListener('abort', onCancel, { once: true });
  beat();
  try {
    return await current.run(pulse, work);
  } finally {
    clearInterval(timer);
    context.cancellationSignal.removeEventListener('abort', onCancel);
  }
}

/** Several beats within the time after which a silent worker counts as dead. */
function pulseOf(timeoutMs: number | undefined): number {
  return timeoutMs === undefined || timeoutMs === 0 ? PULSE_MS : Math.min(PULSE_MS, timeoutMs / 4);
}
