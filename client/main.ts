#!/usr/bin/env node
/** Entry of the `drydock` command. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CommanderError, type Command } from 'commander';
import { endThough } from '../worker/end';
import { createProgram } from './program';

const USAGE = 2;

async function main(): Promise<void> {
  // What a library of ours calls out of date is nothing to whoever types a command.
  process.noDeprecation = !process.env.DRYDOCK_DEBUG;
  letReadersLeave();
  const program = createProgram(version(), (code) => (process.exitCode = code));
  throwInsteadOfExit(program);
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = error instanceof CommanderError ? usageCode(error) : await report(error);
    endThough();
  }
}

/** For the program, its commands and theirs. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  command.commands.forEach(throwInsteadOfExit);
}

/** `drydock list | head -1`: that nobody reads on is no failure, and the exit code stays that of the command. */
function letReadersLeave(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** Commander has printed help, version or what is wrong by now. */
function usageCode(error: CommanderError): number {
  return error.exitCode === 0 ? 0 : USAGE;
}

/** Never a stack trace, unless DRYDOCK_DEBUG asks for one. */
async function report(error: unknown): Promise<number> {
  const { explain, printFailure } = await import('./failures.js');
  printFailure(error);
  if (process.env.DRYDOCK_DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  return explain(error).exitCode;
}

/** From package.json, which lies one folder up in the sources and two folders up in dist/. */
function version(): string {
  for (const up of ['..', '../..']) {
    try {
      const { name, version: number } = JSON.parse(readFileSync(path.join(__dirname, up, 'package.json'), 'utf8')) as { name?: string; version?: string };
      if (name === 'drydock' && number) return number;
    } catch {
      // Not here: look one folder further up.
    }
  }
  return 'unknown';
}

void main();
