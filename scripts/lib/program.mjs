/** Runs a command's own program with this terminal, hands signals on, keeps the exit code. */
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { BIN, ROOT } from './paths.mjs';

/** Environment of everything that a command starts: what set-up fetched is on PATH, and the Temporal CLI is named. */
export function programEnvironment(temporal) {
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}${path.delimiter}/usr/sbin${path.delimiter}/sbin${path.delimiter}${BIN}` };
  if (temporal !== undefined) env.TEMPORAL_CLI_PATH = temporal;
  return env;
}

/**
 * Runs `node ...args` in the clone's root. `onOutput` gets each piece and the name of its stream; without it the program has this terminal.
 * @returns {Promise<number>} its exit code; 128 + the signal's number when a signal ended it
 */
export function runNode(args, { temporal, env = {}, onOutput } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = onOutput ? ['ignore', 'pipe', 'pipe'] : 'inherit';
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio, env: { ...programEnvironment(temporal), ...env } });
    if (onOutput) for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => onOutput(chunk, name));
    const restore = handSignalsTo(child);
    child.on('error', (error) => {
      restore();
      reject(error);
    });
    child.on('close', (code, signal) => {
      restore();
      resolve(code ?? 128 + (os.constants.signals[signal] ?? 0));
    });
  });
}

/** Runs a TypeScript file of the clone. */
export function runTypeScript(file, args, options) {
  return runNode(['--import', 'tsx', file, ...args], options);
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const children = new Set();
/** Listeners that stood before the first program started; they come back after the last has ended. */
let earlier = [];

/** On a terminal, Ctrl-C reaches the programs by itself (same process group), so that SIGINT is not sent a second time. */
function handOn(signal) {
  if (signal === 'SIGINT' && process.stdin.isTTY) return;
  for (const child of children) child.kill(signal);
}

/** While programs run, this process lives on and hands signals to all of them. */
function handSignalsTo(child) {
  if (children.size === 0) {
    earlier = SIGNALS.map((signal) => [signal, process.listeners(signal)]);
    for (const signal of SIGNALS) process.removeAllListeners(signal).on(signal, handOn);
  }
  children.add(child);
  return () => {
    if (!children.delete(child) || children.size > 0) return;
    for (const [signal, listeners] of earlier) {
      process.off(signal, handOn);
      for (const listener of listeners) process.once(signal, listener);
    }
  };
}
