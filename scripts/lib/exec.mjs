/** Running other programs during set-up. Everything that is started here is ended when set-up is interrupted. */
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

const KEPT_OUTPUT = 8_000;
const running = new Set();

/** Ends all programs that `exec` started and that still run. */
export function endChildren() {
  for (const child of running) child.kill('SIGTERM');
}

/**
 * Runs a program to its end and never throws for its exit status.
 * `onLine` sees every line of both outputs; `output` is the last 8,000 characters of both, `stdout` all of standard output.
 * @returns {Promise<{code: number, output: string, stdout: string, timedOut: boolean}>} code 127 when it cannot be started
 */
export function exec(command, args, { cwd, env, timeoutMs, onLine, stdin } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: env ?? process.env, stdio: [stdin ?? 'ignore', 'pipe', 'pipe'] });
    running.add(child);
    let output = '';
    let stdout = '';
    let timedOut = false;
    const timer = timeoutMs
      ? setTimeout(() => {
          timedOut = true;
          child.kill('SIGKILL');
        }, timeoutMs)
      : undefined;
    const take = (chunk) => {
      const text = chunk.toString();
      output = (output + text).slice(-KEPT_OUTPUT);
      if (onLine) for (const line of text.split(/[\r\n]+/)) if (line.trim()) onLine(line);
    };
    child.stdout.on('data', (chunk) => {
      stdout += chunk.toString();
      take(chunk);
    });
    child.stderr.on('data', take);
    const done = (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code, output, stdout, timedOut });
    };
    child.on('error', (error) => {
      output += error.message;
      done(127);
    });
    child.on('close', (code) => done(code ?? 1));
  });
}

/** Folders where programs lie; Debian's administration tools are not on every user's PATH. */
function folders() {
  return [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'].filter((folder) => folder !== '');
}

/** Absolute path of a program, or undefined. */
export function which(name) {
  for (const folder of folders()) {
    const candidate = path.join(folder, name);
    if (isExecutable(candidate)) return candidate;
  }
  return undefined;
}

/** True for an ordinary file that may be executed. */
export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
