/**
 * The vendor's bootstrapper, run as a container through UCP: no tty, log driver none, secrets in the environment only. Its exit status
 * alone proves nothing, so its log is read as well.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerSummary, Engine, RunOptions } from '../adapters/docker/engine';
import { DrydockError, type ErrorKind } from '../domain/errors';
import type { Cluster } from './cluster';
import { forCleanUp } from './guard';
import { labelsOf, removeDeadContainers } from './operation-label';

export type BootstrapperCommand = 'backup' | 'restore' | 'join' | 'destroy' | 'remove' | 'images';

export interface BootstrapperRun {
  /** With tag. */
  image: string;
  command: BootstrapperCommand;
  /** Flags without those that name UCP and its login, which are added here. */
  args: string[];
  /** Swarm node on which phase 1 runs: one that has the image. Absent: UCP chooses. */
  node?: string;
  /** Settings that are secret (a private key, proxies with credentials): in the environment only. */
  env?: Record<string, string>;
  stdin?: Readable;
  onStdout?: (stream: Readable) => Promise<void>;
  /** Called for each log line as it comes, secrets taken out. */
  onLine?: (line: LogLine) => void;
  /** Labels the container; what dead attempts and operations of the cluster left is removed first. */
  operation: string;
  /** Must stand in the log, or the run has failed whatever its exit status says: `Restore complete.` */
  expect?: string;
  /** No byte on any stream for this long is `Stalled`. Default 30 minutes: some phases are silent for long. */
  stallMs?: number;
}

export interface BootstrapperResult {
  /** Only without `onStdout`, 1 MiB at most. */
  stdout: string;
  lines: LogLine[];
}

export interface LogLine {
  level: 'debug' | 'info' | 'warning' | 'error' | 'fatal' | 'other';
  message: string;
}

const DEFAULT_STALL_MS = 30 * 60_000;
const PHASE2_WAIT_MS = 10 * 60_000;
const PHASE2_LOOK_MS = 2_000;
/** A phase 2 that is only created starts in a moment, or its phase 1 is dead and it holds the replica's volumes for ever. */
const NOT_STARTED_MS = 10_000;
const KEPT_LINES = 2_000;
const SHOWN_LINES = 6;
const LEVELS: Record<string, LogLine['level']> = { debu: 'debug', info: 'info', warn: 'warning', erro: 'error', fata: 'fatal', pani: 'fatal' };

/**
 * Runs one command to its end. Throws BootstrapperFailed with the last lines of the log, UcpUnavailable when the bootstrapper could not reach
 * UCP, Busy when another bootstrapper does not end, Stalled, EngineUnavailable, NotFound (image or node). When the step is cancelled, both of its
 * phases are ended.
 */
export async function runBootstrapper(cluster: Cluster, run: BootstrapperRun): Promise<BootstrapperResult> {
  await settle(cluster);
  const engine = await cluster.engine();
  const env = run.command === 'images' ? {} : { ...run.env, ...(await cluster.bootstrapperEnv()) };
  const secrets = [env.UCP_PASSWORD, ...Object.values(run.env ?? {})];
  const hide = (text: string): string => secrets.reduce<string>(withoutSecret, text);
  const log = new BootstrapperLog(hide, run.onLine);
  const result = await engine.run({
    image: run.image,
    command: [run.command, ...(await ucpFlags(cluster, run.command)), ...run.args],
    env,
    labels: labelsOf(cluster, run.operation),
    securityOpt: cluster.config.bootstrapper.disableSelinuxLabel ? ['label=disable'] : undefined,
    onStderrLine: (line) => log.take(line),
    stallMs: run.stallMs ?? DEFAULT_STALL_MS,
    signal: cluster.signal,
    ...given('node', run.node),
    ...given('stdin', run.stdin),
    ...given('onStdout', run.onStdout),
  }).catch(async (error: unknown) => {
    if (cluster.signal?.aborted === true) await endPhase2(forCleanUp(engine));
    throw error;
  });
  log.judge(run, result.exitCode);
  return { stdout: hide(result.stdout.toString('utf8')), lines: log.lines };
}

function given<K extends keyof RunOptions>(key: K, value: RunOptions[K] | undefined): Partial<RunOptions> {
  return value === undefined ? {} : { [key]: value };
}

async function ucpFlags(cluster: Cluster, command: BootstrapperCommand): Promise<string[]> {
  if (command === 'images') return [];
  const { url } = await cluster.ucp();
  return ['--ucp-url', url, ...(cluster.config.ucp.insecureSkipTlsVerify ? ['--ucp-insecure-tls'] : [])];
}

/** Ends what dead attempts and dead operations left, and waits until no phase 2 is at work: only then it is clear what there is. For who holds the cluster's lock. */
export async function settle(cluster: Cluster): Promise<void> {
  const engine = await cluster.engine();
  await removeDeadContainers(engine, cluster);
  await waitForPhase2(engine, cluster.signal);
}

/** Its phase 1 is ended with the run; phase 2 is a container that would go on with the work alone. */
async function endPhase2(engine: Engine): Promise<void> {
  for (const { id } of await phase2(engine)) await engine.removeContainer(id, { force: true });
}

async function phase2(engine: Engine): Promise<ContainerSummary[]> {
  return (await engine.containers({ name: 'dtr-phase2' })).filter(({ names }) => names.some((name) => /(^|\/)dtr-phase2$/.test(name)));
}

/** Bootstrappers of one cluster must run one after another: a second one would wait in its own way, for ever. */
async function waitForPhase2(engine: Engine, signal: AbortSignal | undefined): Promise<void> {
  const begun = Date.now();
  const end = begun + PHASE2_WAIT_MS;
  for (;;) {
    const found = await phase2(engine);
    const over = new Set(['exited', 'dead', ...(Date.now() > begun + NOT_STARTED_MS ? ['created'] : [])]);
    for (const left of found) if (over.has(left.state)) await engine.removeContainer(left.id, { force: true });
    const [first] = found.filter(({ state }) => !over.has(state));
    if (first === undefined) return;
    if (Date.now() > end) {
      throw new DrydockError('Busy', `another run of the bootstrapper is at work on this cluster (${first.names[0]})`, {
        remedy: 'wait until it ends; if it is a leftover that hangs, remove that container',
      });
    }
    await sleep(PHASE2_LOOK_MS, undefined, { signal });
  }
}

function withoutSecret(text: string, secret: string | undefined): string {
  return secret === undefined || secret === '' ? text : text.replaceAll(secret, '***');
}

/** One line of logrus, in the form for terminals (`FATA[0012] text`) or for files (`level=fatal msg="text"`). */
export function parseLogLine(line: string): LogLine {
  const short = /^(DEBU|INFO|WARN|ERRO|FATA|PANI)\[\d+\]\s*(.*)$/.exec(line);
  if (short) return { level: LEVELS[short[1]!.toLowerCase()]!, message: short[2]! };
  const long = /\blevel=(debug|info|warn|warning|error|fatal|panic)\b/.exec(line);
  if (!long) return { level: 'other', message: line };
  const message = /\bmsg=(?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(line);
  return { level: LEVELS[long[1]!.slice(0, 4)]!, message: message?.[1]?.replace(/\\(["\\])/g, '$1') ?? message?.[2] ?? line };
}

class BootstrapperLog {
  readonly lines: LogLine[] = [];

  constructor(
    private readonly hide: (text: string) => string,
    private readonly onLine: BootstrapperRun['onLine'],
  ) {}

  take(text: string): void {
    const line = parseLogLine(this.hide(text));
    this.lines.push(line);
    if (this.lines.length > KEPT_LINES) this.lines.shift();
    this.onLine?.(line);
  }

  /** Throws when the log or the exit status says that the run failed. */
  judge(run: BootstrapperRun, exitCode: number): void {
    const fatal = this.lines.find(({ level }) => level === 'fatal');
    if (exitCode !== 0 || fatal) throw this.failed(run, fatal ? fatal.message : `exit status ${exitCode}: ${this.last()}`, exitCode);
    if (run.expect !== undefined && !this.lines.some(({ message }) => message.includes(run.expect!))) {
      throw this.failed(run, `it ended without "${run.expect}" in its log: ${this.last()}`, exitCode);
    }
  }

  private failed(run: BootstrapperRun, why: string, exitCode: number): DrydockError {
    const [kind, remedy] = kindOf(why);
    return new DrydockError(kind, `${run.command} of ${run.image} failed: ${why}`, { remedy, details: { exitCode, log: this.last() } });
  }

  private last(): string {
    return this.lines.slice(-SHOWN_LINES).map(({ message }) => message).join(' / ').slice(-1_500);
  }
}

function kindOf(why: string): [ErrorKind, string] {
  if (/failed to connect to UCP|UCP at \S+ is not healthy/i.test(why)) return ['UcpUnavailable', 'check UCP and that its address can be reached from the nodes'];
  if (/failed to authenticate with UCP/i.test(why)) return ['AuthRejected', 'check ucp.username and ucp.password'];
  return ['BootstrapperFailed', 'look at the log lines above and at the node; the same operation can be started again'];
}
