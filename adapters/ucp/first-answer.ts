import { DrydockError } from '../../domain/errors';

export interface FirstAnswerOptions<T> {
  signal?: AbortSignal;
  /** How long one may be silent before the next is tried beside it. Default 3 s. */
  headStartMs?: number;
  /** Takes back an answer that came when it was no longer waited for. */
  late?: (value: T) => void;
  /** An error after which no other way is tried. */
  isFinal?: (error: DrydockError) => boolean;
  /** The error when all have failed; theirs in the order of the candidates. */
  failed: (errors: DrydockError[]) => Error;
}

const HEAD_START_MS = 3_000;

/**
 * The first answer of several ways to the same thing, tried in order: the next begins when the one before has failed, or has been silent for a while (a host that is off
 * answers nothing at all). Errors that are not ours, and the signal's reason, are thrown at once.
 */
export function firstAnswer<T>(candidates: (() => Promise<T>)[], options: FirstAnswerOptions<T>): Promise<T> {
  const { signal, headStartMs = HEAD_START_MS, late = () => undefined, isFinal = () => false } = options;
  return new Promise((resolve, reject) => {
    const errors: (DrydockError | undefined)[] = candidates.map(() => undefined);
    let begun = 0;
    let open = 0;
    let over = false;
    let timer: NodeJS.Timeout | undefined;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = (): void => end(() => reject(signal?.reason as Error));
    const begin = (): void => {
      clearTimeout(timer);
      if (over || begun === candidates.length) return;
      const at = begun++;
      open++;
      timer = setTimeout(begin, headStartMs);
      candidates[at]!().then(
        (value) => (over ? late(value) : end(() => resolve(value))),
        (error: unknown) => {
          open--;
          if (!(error instanceof DrydockError) || isFinal(error)) return end(() => reject(error instanceof Error ? error : new Error(String(error))));
          errors[at] = error;
          if (begun < candidates.length) return begin();
          if (open === 0) end(() => reject(options.failed(errors.filter((each) => each !== undefined))));
        },
      );
    };
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    begin();
  });
}
