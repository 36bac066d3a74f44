/** Runs commands of the machine that the lab stands on. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

export interface CommandOptions {
  /** Written to standard input, then end. */
  input?: string | Buffer | Readable;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  /** Called for each line of standard error as it comes. */
  onLine?: (line: string) => void;
  /** Exit codes that are not an error. Default [0]. */
  okCodes?: number[];
}

/** For commands whose exit code is an answer. */
export const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** A command of the lab that failed; the message holds the end of its standard error. */
export class LabError extends Error {
  override readonly name = 'LabError';
}

/** Runs one command and collects its output. Throws LabError on another exit code; when the signal fires the command is ended and the signal's reason thrown. */
export async function run(command: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  options.signal?.throwIfAborted();
  const { code, stdout, stderr } = await collect(command, args, options);
  options.signal?.throwIfAborted();
  if (!(options.okCodes ?? [0]).includes(code)) {
    throw new LabError(`${command} ${args.slice(0, 4).join(' ')} ... ended with ${code}: ${(stderr || stdout.toString('utf8')).trim().slice(-2000)}`);
  }
  return { code, stdout: stdout.toString('utf8'), stderr };
}

/** Like `run`, for output that is not text. */
export async function runBinary(command: string, args: string[], options: CommandOptions = {}): Promise<Buffer> {
  const { code, stdout, stderr } = await collect(command, args, options);
  if (!(options.okCodes ?? [0]).includes(code)) throw new LabError(`${command} ${args[0] ?? ''} ended with ${code}: ${stderr.trim().slice(-2000)}`);
  return stdout;
}

async function collect(command: string, args: string[], options: CommandOptions): Promise<{ code: number; stdout: Buffer; stderr: string }> {
  // Its own process group: Ctrl-C in the terminal is for us, who then undo what was begun.
  const child = spawn(command, args, { env: options.env ?? process.env, signal: options.signal, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  let stderr = '';
  let partial = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-65536);
    if (options.onLine === undefined) return;
    const lines = (partial + chunk).split('\n');
    partial = lines.pop() ?? '';
    lines.forEach(options.onLine);
  });
  // A command that ends before it read its input is reported by its exit code.
  child.stdin.on('error', () => undefined);
  const { input } = options;
  if (input === undefined || typeof input === 'string' || Buffer.isBuffer(input)) child.stdin.end(input ?? '');
  else input.pipe(child.stdin);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolve(exit ?? 137));
  });
  return { code, stdout: Buffer.concat(stdout), stderr };
}

/** Waits for all to end, then throws the first error: nothing goes on behind the back of a clean-up. */
export async function allDone<T>(tasks: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(tasks);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/** The Docker client of the machine, against the engine that holds the lab. Returns trimmed standard output. */
export async function docker(args: string[], options: CommandOptions = {}): Promise<string> {
  return (await run('docker', args, options)).stdout.trim();
}

/** `docker save IMAGES | docker CONSUMER...`: images go from the machine's engine to another without a file between. */
export async function pipeImages(images: string[], consumer: string[], signal?: AbortSignal): Promise<void> {
  const save = spawn('docker', ['save', ...images], { signal, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  save.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const saved = new Promise<void>((resolve, reject) => {
    save.on('error', reject);
    save.on('close', (code) => (code === 0 ? resolve() : reject(new LabError(`docker save ended with ${code}: ${stderr.trim()}`))));
  });
  await allDone<unknown>([saved, run('docker', consumer, { input: save.stdout, ...(signal === undefined ? {} : { signal }) })]);
}

export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal });
}

/** Asks until it answers true; an error counts as "not yet" and stands in the message when time is up. */
export async function waitFor(what: string, seconds: number, probe: () => Promise<boolean>, signal?: AbortSignal): Promise<void> {
  const end = Date.now() + seconds * 1000;
  let last = '';
  for (;;) {
    signal?.throwIfAborted();
    try {
      if (await probe()) return;
    } catch (error) {
      last = `: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (Date.now() > end) throw new LabError(`${what} is not there after ${seconds} s${last}`);
    await sleep(250, signal);
  }
}
