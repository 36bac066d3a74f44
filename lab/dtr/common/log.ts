export type Level = 'debug' | 'info' | 'warning' | 'error' | 'fatal';

const SHORT: Record<Level, string> = { debug: 'DEBU', info: 'INFO', warning: 'WARN', error: 'ERRO', fatal: 'FATA' };

/** Log lines in the two forms of logrus: short on a terminal, key=value elsewhere. Always on standard error: standard output may carry an archive. */
export class Log {
  private readonly started = Date.now();

  constructor(
    private readonly tty: boolean,
    private readonly verbose = false,
  ) {}

  debug(message: string): void {
    if (this.verbose) this.write('debug', message);
  }
  info(message: string): void {
    this.write('info', message);
  }
  warn(message: string): void {
    this.write('warning', message);
  }
  error(message: string): void {
    this.write('error', message);
  }
  fatal(message: string): void {
    this.write('fatal', message);
  }

  private write(level: Level, message: string): void {
    const seconds = Math.floor((Date.now() - this.started) / 1000);
    const line = this.tty
      ? `${SHORT[level]}[${String(seconds).padStart(4, '0')}] ${message}`
      : `time="${new Date().toISOString().replace(/\.\d+Z$/, 'Z')}" level=${level} msg=${JSON.stringify(message)}`;
    process.stderr.write(`${line}\n`);
  }
}

/** Ends the command with one line at level fatal and exit status 1. */
export class Fatal extends Error {
  override readonly name = 'Fatal';
}

/** A line in a service's own log (standard output of its container). */
export function serviceLog(message: string): void {
  process.stdout.write(`${new Date().toISOString()} ${message}\n`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
