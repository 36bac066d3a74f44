/** The exit codes of `drydock`: one table for the command, its help and the README. Loads nothing, for the sake of a quick `--help`. */
import type { ErrorKind, Sought } from './errors';

interface ExitCode {
  code: number;
  /** One phrase, as it stands in the help and in the README. */
  meaning: string;
  /** Errors that end a command, or the run that it watches, with this code; of `NotFound` those alone that are about a name. */
  kinds: readonly ErrorKind[];
}

export const EXIT_CODES = {
  ok: { code: 0, meaning: 'done', kinds: [] },
  failed: {
    code: 1, meaning: 'failed, or refused before anything was changed',
    kinds: ['AuthRejected', 'NotPermitted', 'VersionMismatch', 'IntegrityMismatch', 'NoSpace', 'Conflict', 'Refused', 'HostKeyMismatch', 'BootstrapperFailed', 'CommandFailed', 'Unhealthy', 'WorkLost', 'Stalled', 'Busy'],
  },
  usage: { code: 2, meaning: 'wrong usage, wrong input or wrong configuration', kinds: ['InvalidInput'] },
  incomplete: { code: 3, meaning: 'the backup is sealed, but incomplete', kinds: [] },
  rejected: { code: 4, meaning: 'cancelled, rejected at a gate, or the vote was not taken', kinds: ['Rejected'] },
  unreachable: {
    code: 5, meaning: 'Temporal, a host, the registry or the vault cannot be reached, or shows a certificate that is not trusted',
    kinds: ['HostUnreachable', 'EngineUnavailable', 'RegistryUnavailable', 'UcpUnavailable', 'VaultUnavailable', 'TemporalUnavailable', 'TlsRejected'],
  },
  findings: { code: 6, meaning: 'a verification has findings', kinds: [] },
  differs: { code: 7, meaning: 'restored, but something differs from the backup', kinds: [] },
  accepted: { code: 8, meaning: 'restored with differences that a person has accepted', kinds: [] },
  notPutBack: { code: 9, meaning: 'ended, and what it had changed is not as it was: the registry needs a person', kinds: ['NotPutBack', 'Unfinished'] },
  notFound: { code: 10, meaning: 'no such cluster, backup or run', kinds: ['NotFound'] },
  locked: { code: 11, meaning: 'another operation holds the cluster', kinds: ['Locked'] },
  interrupted: { code: 130, meaning: 'interrupted; a run that was watched goes on', kinds: [] },
} as const satisfies Record<string, ExitCode>;

type Codes = { readonly [Name in keyof typeof EXIT_CODES]: (typeof EXIT_CODES)[Name]['code'] };

/** The codes by name. */
export const EXIT = Object.fromEntries(Object.entries(EXIT_CODES).map(([name, { code }]) => [name, code])) as Codes;

/**
 * The code for an error. What a server answered to one of our calls (`status`) is no wrong usage of the command; and what a run misses (a file of a backup, an image, a command on a host)
 * is no name that a person has mistyped: that is `sought`.
 */
export function exitCodeOf(kind: ErrorKind, details: Record<string, unknown> = {}): number {
  if (kind === 'NotFound') return details.sought === ('name' satisfies Sought) ? EXIT.notFound : details.sought === ('vault' satisfies Sought) ? EXIT.unreachable : EXIT.failed;
  const table: ExitCode[] = Object.values(EXIT_CODES);
  const { code } = table.find(({ kinds }) => kinds.includes(kind)) ?? EXIT_CODES.failed;
  return typeof details.status === 'number' && code === EXIT.usage ? EXIT.failed : code;
}
