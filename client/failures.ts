/** What a failure means to a person: one sentence, one remedy, one exit code. */
import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, NamespaceNotFoundError, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import type { BackupResult, RestoreResult } from '../domain/contract';
import type { CopyResult } from '../domain/copy';
import type { VerifyResult } from '../domain/verify';
import { DrydockError, isErrorKind, noSuch, type ErrorKind } from '../domain/errors';
import { EXIT, exitCodeOf } from '../domain/exit-codes';
import { fitted } from './console';
import { visible } from './format';

export interface Explanation {
  message: string;
  remedy?: string;
  kind?: ErrorKind;
  /** One of EXIT. */
  exitCode: number;
}

/** Walks the causes of a failed run or update to the one that was made for people. */
export function explain(error: unknown): Explanation {
  const chain = causes(error);
  for (const cause of chain) {
    if (cause instanceof DrydockError) return { message: cause.message, remedy: cause.remedy, kind: cause.kind, exitCode: exitCodeOf(cause.kind, cause.details) };
    if (cause instanceof ApplicationFailure && isErrorKind(cause.type)) return explainApplicationFailure(cause, cause.type);
    if (cause instanceof CancelledFailure) return { message: 'the run was cancelled', exitCode: EXIT.rejected };
    if (cause instanceof TerminatedFailure) {
      return { message: 'the run was terminated, so nothing was undone', remedy: '`drydock reconcile CLUSTER` puts back what it had changed, and of a restore that has destroyed something it says what to do', exitCode: EXIT.failed };
    }
    if (cause instanceof TimeoutFailure) return { message: `a step got no answer in time (${cause.timeoutType})`, remedy: 'look whether a worker runs, then start again', exitCode: EXIT.unreachable };
  }
  const last = chain.at(-1);
  return { message: last instanceof Error ? firstLine(last.message) : String(error), exitCode: EXIT.failed };
}

function explainApplicationFailure(failure: ApplicationFailure, kind: ErrorKind): Explanation {
  const details: unknown = failure.details?.[0];
  const field = (name: string): unknown => (typeof details === 'object' && details !== null ? (details as Record<string, unknown>)[name] : undefined);
  const remedy = field('remedy');
  return { message: failure.message, remedy: typeof remedy === 'string' ? remedy : undefined, kind, exitCode: exitCodeOf(kind, { status: field('status'), sought: field('sought') }) };
}

/** One sentence of what went wrong and one of what to do about it, on standard error. */
export function printFailure(error: unknown): void {
  const { message, remedy } = explain(error);
  for (const line of [`drydock: ${message}`, ...(remedy ? [`  ${remedy}`] : [])].flatMap((text) => text.split('\n'))) process.stderr.write(`${fitted(visible(line), process.stderr)}\n`);
}

/** Exit code for a run that has completed. */
export function exitCodeOfResult(type: string, result: unknown): number {
  if (type === 'verify') return (result as VerifyResult).result === 'bad' ? EXIT.findings : EXIT.ok;
  if (type === 'copy') return (result as CopyResult).copies.some(({ findingCount }) => findingCount > 0) ? EXIT.findings : EXIT.ok;
  if (type === 'restore') {
    const { accepted, differenceCount } = result as RestoreResult;
    return accepted !== null ? EXIT.accepted : differenceCount > 0 ? EXIT.differs : EXIT.ok;
  }
  if (type !== 'backup') return EXIT.ok;
  const { status, verified } = result as BackupResult;
  if (verified?.result === 'bad') return EXIT.findings;
  return status === 'incomplete' ? EXIT.incomplete : EXIT.ok;
}

/** Makes what the Temporal client throws into a DrydockError; anything else comes back as it is. */
export function fromTemporal(error: unknown, address: string, namespace: string): unknown {
  if (error instanceof DrydockError) return error;
  if (error instanceof WorkflowNotFoundError) return noSuch(`there is no workflow "${error.workflowId}"`, { remedy: 'see `drydock status` for what runs', cause: error });
  if (error instanceof NamespaceNotFoundError) return noNamespace(address, namespace, error);
  const grpc = isGrpcServiceError(error) ? error : error instanceof ServiceError && isGrpcServiceError(error.cause) ? error.cause : undefined;
  if (!grpc) return error;
  switch (grpc.code as number) {
    case GRPC.deadlineExceeded:
    case GRPC.unavailable:
    case GRPC.cancelled:
      return unreachable(address, error);
    case GRPC.unauthenticated:
    case GRPC.permissionDenied:
      return notLetIn(address, namespace, grpc.details, error);
    case GRPC.unimplemented:
      return new DrydockError('TemporalUnavailable', `${address} speaks HTTP/2, but is no Temporal server${said(grpc.details)}`, { remedy: 'check the address and its port', cause: error });
    case GRPC.notFound:
      return /namespace/i.test(grpc.message) ? noNamespace(address, namespace, error) : error;
    default:
      return error;
  }
}

function noNamespace(address: string, namespace: string, cause: unknown): DrydockError {
  return new DrydockError('InvalidInput', `Temporal at ${address} has no namespace "${namespace}"`, { remedy: 'correct temporal.namespace or TEMPORAL_NAMESPACE', cause });
}

/** `permission denied` may also mean a namespace: a server does not tell strangers which ones it has. */
function notLetIn(address: string, namespace: string, words: string, cause: unknown): DrydockError {
  const key = process.env.TEMPORAL_API_KEY ? 'check that TEMPORAL_API_KEY is valid' : 'give a key by TEMPORAL_API_KEY, or a client certificate by TEMPORAL_TLS_CLIENT_CERT_PATH';
  return new DrydockError('AuthRejected', `Temporal at ${address} does not let this command in${said(words)}`, { remedy: `${key}, and that it is for the namespace "${namespace}"`, cause });
}

/** The server's own words. */
function said(words: string): string {
  return words === '' ? '' : `; it says: ${firstLine(words).slice(0, 300)}`;
}

/** The server does not answer, and nothing more is known. */
export function unreachable(address: string, cause: unknown): DrydockError {
  return new DrydockError('TemporalUnavailable', `no Temporal server answers at ${address}`, {
    remedy: 'start one with `drydock up`, or name yours by temporal.address in drydock.yaml or TEMPORAL_ADDRESS',
    cause,
  });
}

const GRPC = { cancelled: 1, deadlineExceeded: 4, notFound: 5, permissionDenied: 7, unimplemented: 12, unavailable: 14, unauthenticated: 16 } as const;

function causes(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let current: unknown = error; current !== undefined && current !== null && chain.length < 20; current = current instanceof Error ? current.cause : undefined) {
    chain.push(current);
  }
  return chain;
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
