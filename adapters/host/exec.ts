import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DrydockError, type ErrorKind } from '../../domain/errors';
import type { ExecOptions, ExecResult, Host, RemoteProcess } from './host';

const DEFAULT_MAX_OUTPUT = 8 * 1024 * 1024;
export const DEFAULT_STALL_MS = 120_000;

/** Runs a command to its end on top of `spawn`: the part of `Host.exec` that is the same here and over SSH. */
export async function execOn(host: Pick<Host, 'name' | 'spawn'>, command: string[], options: ExecOptions = {}): Promise<ExecResult> {
  const child = await host.spawn(command, { root: options.root, signal: options.signal, stallMs: options.stallMs });
  const fed = feed(child, options.input).catch(asError);
  try {
    const stdout = await collect(child.stdout, options.maxOutput ?? DEFAULT_MAX_OUTPUT, `${host.name}: ${command[0]}`);
    const exit = await child.exit;
    const feedError = await fed;
    // A command may end without reading its input: its exit code then says more than the broken pipe.
    if (feedError !== undefined && !isBrokenPipe(feedError)) throw feedError;
    const code = exit.code ?? -1;
    if (!(options.okCodes ?? [0]).includes(code)) throw commandFailed(host.name, command, exit);
    return { code, stdout: stdout.toString('utf8'), stderr: exit.stderr };
  } catch (error) {
    await child.kill();
    // Where the source of the input broke, the command was ended for that reason, and that is the one to tell.
    const feedError = await fed;
    throw feedError === undefined || isBrokenPipe(feedError) ? error : feedError;
  }
}

/** What is thrown need not be an Error; what we throw is. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

async function feed(child: RemoteProcess, input: ExecOptions['input']): Promise<void> {
  if (input === undefined || typeof input === 'string' || Buffer.isBuffer(input)) child.stdin.end(input);
  else await pipeline(input, child.stdin);
}

function isBrokenPipe(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED';
}

async function collect(stdout: Readable, maxBytes: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdout as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new DrydockError('CommandFailed', `${what} printed more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What a command's exit tells, by the usual words on standard error. */
export function commandFailed(host: string, command: string[], exit: { code: number | null; signal?: string; stderr: string }): DrydockError {
  const said = exit.stderr.trim().split('\n').slice(-5).join('; ').slice(-1000);
  const ended = exit.code === null ? `was ended by ${exit.signal ?? 'a signal'}` : `ended with ${exit.code}`;
  const shown = command.join(' ');
  const message = `${host}: ${shown.length > 200 ? `${shown.slice(0, 200)}...` : shown} ${ended}${said === '' ? '' : `: ${said}`}`;
  const [kind, remedy] = kindOf(exit.code, said);
  return new DrydockError(kind, message, { remedy, details: { host, code: exit.code, ...(exit.signal === undefined ? {} : { signal: exit.signal }) } });
}

function kindOf(code: number | null, said: string): [ErrorKind, string] {
  if (/No space left on device|Disk quota exceeded/.test(said)) return ['NoSpace', 'make room on the host'];
  if (code === 127) return ['NotFound', 'install the command on the host'];
  if (/Permission denied|Operation not permitted/.test(said)) return ['NotPermitted', 'use root or a user with sudo'];
  if (/No such file or directory/.test(said)) return ['NotFound', 'check the path on the host'];
  return ['CommandFailed', 'look at the host, then run the step again'];
}
