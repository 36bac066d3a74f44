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
 * Runs `node ...args` in the clone's root.
 * @returns {Promise<number>} its exit code; 128 + the signal's number when a signal ended it
 */
export function runNode(args, { temporal, env = {}, onOutput } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = onOutput ? ['ignore', 'pipe', 'pipe'] : 'inherit';
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio, env: { ...programEnvironment(temporal), ...env } });
    if (onOutput) for (const stream of [child.stdout, child.stderr]) stream.on('data', onOutput);
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

/**
 * While the program runs, this process lives on and hands signals to it. On a terminal, Ctrl-C reaches the program by itself
 * (same process group), so that SIGINT is not sent a second time.
 */
function handSignalsTo(child) {
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    const earlier = process.listeners(signal);
    const handler = () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const listener of earlier) process.off(signal, listener);
    process.on(signal, handler);
    return () => {
      process.off(signal, handler);
      for (const listener of earlier) process.once(signal, listener);
    };
  });
  return () => {
    for (const restore of handlers) restore();
  };
}
