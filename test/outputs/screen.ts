/** What a person sees: a program run in a real terminal of a given width, its output drawn by a terminal emulator. */
import { spawn } from 'node:child_process';
import { Terminal } from '@xterm/headless';
import { builtCommand } from '../helpers/product';

/** More than any output is high, so that nothing scrolls away. */
const ROWS = 400;

/** A person reads first: what the program was about to write stands there by then. */
const TYPING_MS = 700;
const CTRL_C = '\u0003';

export interface Shown {
  code: number | null;
  /** As it lies on the screen at the end, without blank ends of lines; nothing below the last line. */
  text: string;
}

export interface Conversation {
  env?: NodeJS.ProcessEnv;
  /** What is typed when a text stands on the screen, in this order. */
  typed?: { at: string; keys: string }[];
  /** What goes on until it is told to stop: when a text stands there, this signal comes, which on a terminal is Ctrl-C, or something is done. */
  ends?: { at: string; by: NodeJS.Signals | (() => Promise<void>) };
  /** Makes what differs from run to run the same, at the same length: what is drawn wraps as it did. */
  settle: (raw: string) => string;
}

/** In a pipe: standard output, and behind it standard error where there was any. */
export async function inPipe(args: string[], { env, ends, settle }: Conversation): Promise<Shown> {
  const child = spawn(process.execPath, [builtCommand(), ...args], { env: environment({ ...env, NO_COLOR: '' }), stdio: ['ignore', 'pipe', 'pipe'] });
  const parts = { stdout: '', stderr: '' };
  let told = false;
  for (const stream of ['stdout', 'stderr'] as const) child[stream].on('data', (chunk: Buffer) => {
    parts[stream] += chunk.toString();
    if (ends === undefined || told || !isThere(ends.at, parts.stdout + parts.stderr)) return;
    told = true;
    const { by } = ends;
    setTimeout(() => void (typeof by === 'string' ? child.kill(by) : by()), TYPING_MS);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const [out, err] = [settle(parts.stdout), settle(parts.stderr)];
  return { code, text: err === '' ? out : `${out}${out === '' ? '' : '\n'}on standard error:\n${err}` };
}

/** On a terminal of so many columns. */
export async function onTerminal(args: string[], columns: number, { env, typed = [], ends, settle }: Conversation): Promise<Shown> {
  const line = [process.execPath, builtCommand(), ...args].map((part) => `'${part}'`).join(' ');
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', `stty rows 40 cols ${columns}; exec ${line}`, '/dev/null'], { env: environment({ TERM: 'xterm', ...env }), stdio: ['pipe', 'pipe', 'inherit'] });
  let raw = '';
  const left: { at: string; keys: string | (() => Promise<void>) }[] = [...typed, ...(ends === undefined ? [] : [{ at: ends.at, keys: typeof ends.by === 'string' ? CTRL_C : ends.by }])];
  let from = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    raw += chunk.toString();
    const [next] = left;
    if (next === undefined || !isThere(next.at, raw.slice(from))) return;
    from = raw.length;
    left.shift();
    const { keys } = next;
    setTimeout(() => void (typeof keys === 'string' ? child.stdin.write(keys) : keys()), TYPING_MS);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, text: await drawn(settle(raw), columns) };
}

/** A line may have been folded in between. */
function isThere(text: string, raw: string): boolean {
  return raw.replace(/\s+/g, ' ').includes(text.trimEnd());
}

async function drawn(raw: string, columns: number): Promise<string> {
  const terminal = new Terminal({ cols: columns, rows: ROWS, scrollback: 10_000, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(raw, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_, at) => active.getLine(at)?.translateToString(true) ?? '');
  terminal.dispose();
  return `${lines.join('\n').trimEnd()}\n`;
}

function environment(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NO_COLOR: _noColour, ...rest } = process.env;
  return { ...rest, TZ: 'UTC', DRYDOCK_CONFIG: '', TEMPORAL_ADDRESS: '', ...more };
}
