/** Logs of a worker: JSON lines on standard error, or short readable lines on a terminal. */
import { Writable } from 'node:stream';
import pino, { type Logger } from 'pino';
import { DefaultLogger, makeTelemetryFilterString, Runtime, type LogEntry, type LogLevel } from '@temporalio/worker';
import { fold } from '../domain/fold';

/** Fields that are never written, wherever a careless caller puts them. */
const SECRET_FIELDS = ['password', 'passphrase', 'token', 'secret', 'authorization', 'apiKey', 'privateKey', 'sudoPassword'];

/** A terminal that gives less than this as its width does not know it. */
const LEAST_COLUMNS = 20;

/** Level from DRYDOCK_LOG_LEVEL (`info` when unset). */
export function createLogger(options: { readable: boolean }): Logger {
  const level = process.env.DRYDOCK_LOG_LEVEL ?? 'info';
  const redact = { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[redacted]' };
  const settings = { level: level in pino.levels.values ? level : 'info', redact, base: undefined };
  return options.readable ? pino(settings, readableLines(process.stderr)) : pino({ ...settings, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}

/** Sends the SDK's own logs through `logger`. Once in a process, before the first connection; a second call does nothing. */
export function installRuntime(logger: Logger): void {
  if (installed) return;
  installed = true;
  Runtime.install({
    logger: new DefaultLogger('INFO', (entry) => {
      if (entry.meta?.target === RETRY_TARGET) {
        noticeSilence(logger, plainFields(entry.meta));
        return;
      }
      // The SDK's metadata may hold objects that cannot be written as JSON, so only plain values go on.
      logger[levelOf(entry)](plainFields(entry.meta), entry.message);
    }),
    // We decide what a signal means (see main.ts), not the runtime.
    shutdownSignals: [],
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} } },
  });
}
let installed = false;

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const satisfies Record<LogLevel, string>;

/** While the server is away every poll complains every few seconds; once a minute is enough. */
const RETRY_TARGET = 'temporalio_client::retry';
const SILENCE_NOTICE_MS = 60_000;
let lastSilenceNotice = -Infinity;

function noticeSilence(logger: Logger, fields: Record<string, unknown>): void {
  const now = performance.now();
  if (now - lastSilenceNotice < SILENCE_NOTICE_MS) return;
  lastSilenceNotice = now;
  logger.warn({ error: fields.error }, 'Temporal does not answer; the worker keeps trying');
}

/** What the SDK tells of its own states and of bundling matters only when it is searched for; what workflows and steps log does matter. */
function levelOf(entry: LogEntry): (typeof LEVELS)[LogLevel] {
  return entry.level === 'INFO' && entry.meta?.sdkComponent === 'worker' ? 'debug' : LEVELS[entry.level];
}

function plainFields(meta: Record<string, unknown> | undefined): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(meta ?? {})) {
    if (value instanceof Error) plain[key] = value.message;
    else if (['string', 'number', 'boolean'].includes(typeof value)) plain[key] = value;
    else if (typeof value === 'bigint') plain[key] = value.toString();
  }
  return plain;
}

function readableLines(target: NodeJS.WriteStream): Writable {
  const names: Record<number, string> = { 10: 'trace', 20: 'debug', 30: 'info ', 40: 'warn ', 50: 'error', 60: 'fatal' };
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const entry = JSON.parse(chunk.toString()) as { level: number; time: number; msg?: string; workflowId?: string; activityType?: string; error?: string };
      const about = [entry.activityType, entry.workflowId].filter((part) => part !== undefined).join(' of ');
      const parts = [new Date(entry.time).toISOString().slice(11, 19), names[entry.level] ?? '', entry.msg ?? '', about && `(${about})`, entry.error && `- ${entry.error}`];
      const line = parts.filter(Boolean).join(' ');
      target.write(`${target.columns >= LEAST_COLUMNS ? fold(line, target.columns) : line}\n`);
      done();
    },
  });
}
