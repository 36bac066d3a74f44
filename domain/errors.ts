/**
 * The closed set of errors that Drydock shows to people. Adapters make them at their edge, activities turn them into
 * Temporal failures of the same `kind`, and the command prints message and remedy, never a stack trace.
 */
export const ERROR_KINDS = {
  // Not worth repeating: the same call would fail in the same way.
  InvalidInput: { retryable: false },
  AuthRejected: { retryable: false },
  NotPermitted: { retryable: false },
  NotFound: { retryable: false },
  VersionMismatch: { retryable: false },
  IntegrityMismatch: { retryable: false },
  NoSpace: { retryable: false },
  /** A name is taken, or what is there is of another kind. */
  Conflict: { retryable: false },
  /** Another operation holds the cluster. */
  Locked: { retryable: false },
  Refused: { retryable: false },
  /** People said no at a gate. */
  Rejected: { retryable: false },
  /** A run ended, and something that it had changed outside is not as it was. */
  NotPutBack: { retryable: false },
  /** A restore ended behind the point of no return, before the registry was as it should be. */
  Unfinished: { retryable: false },
  HostKeyMismatch: { retryable: false },
  TlsRejected: { retryable: false },
  BootstrapperFailed: { retryable: false },
  /** A command on a host ended with a code that says no more. */
  CommandFailed: { retryable: false },
  /** A replica did not become healthy in the time that the policy gives it. */
  Unhealthy: { retryable: false },
  /** Files that an earlier step left on the worker are gone: the step that made them has to run again. */
  WorkLost: { retryable: false },
  // Worth repeating: the outside world may mend itself.
  HostUnreachable: { retryable: true },
  EngineUnavailable: { retryable: true },
  RegistryUnavailable: { retryable: true },
  UcpUnavailable: { retryable: true },
  VaultUnavailable: { retryable: true },
  TemporalUnavailable: { retryable: true },
  Stalled: { retryable: true },
  Busy: { retryable: true },
} as const;

export type ErrorKind = keyof typeof ERROR_KINDS;

export interface DrydockErrorOptions {
  /** One sentence: what the reader can do about it. */
  remedy?: string;
  cause?: unknown;
  /** Small machine-readable facts (paths, codes); never a secret. */
  details?: Record<string, unknown>;
}

/** An error that a person can read: one sentence of what went wrong and one of what to do. */
export class DrydockError extends Error {
  override readonly name = 'DrydockError';
  readonly kind: ErrorKind;
  readonly remedy: string | undefined;
  readonly details: Record<string, unknown> | undefined;

  constructor(kind: ErrorKind, message: string, options: DrydockErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.remedy = options.remedy;
    this.details = options.details;
  }

  get retryable(): boolean {
    return ERROR_KINDS[this.kind].retryable;
  }
}

/**
 * What a `NotFound` is about, where it is no single thing that ought to be there: the name that a person gave (of a cluster, a backup, a run), or a whole vault.
 * It stands in the details as `sought`, and decides how a command ends.
 */
export type Sought = 'name' | 'vault';

/** There is nothing of the name that a person gave. */
export function noSuch(message: string, options: DrydockErrorOptions = {}): DrydockError {
  return new DrydockError('NotFound', message, { ...options, details: { ...options.details, sought: 'name' satisfies Sought } });
}

/** The vault itself is not there: a disk that is not mounted looks like that. */
export function noVault(message: string, options: DrydockErrorOptions = {}): DrydockError {
  return new DrydockError('NotFound', message, { ...options, details: { ...options.details, sought: 'vault' satisfies Sought } });
}

/** Whether it is the vault itself that is not there. */
export function isNoVault(error: unknown): boolean {
  return error instanceof DrydockError && error.details?.sought === ('vault' satisfies Sought);
}

export function isErrorKind(value: unknown): value is ErrorKind {
  return typeof value === 'string' && Object.hasOwn(ERROR_KINDS, value);
}
