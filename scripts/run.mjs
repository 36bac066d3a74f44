#!/usr/bin/env node
/**
 * One door for the commands of a clone: `node scripts/run.mjs demo|test-all|test|lab|stop-engine [arguments]`.
 * Brings up what the command needs (see setup/), then runs it. Works in a fresh clone: no package is needed to start.
 */
import { SetupError, sayError } from './lib/console.mjs';
import { endChildren } from './lib/exec.mjs';
import { commands } from './commands.mjs';

/** Until a command runs its own program, an interrupt ends set-up and what set-up started. */
function interruptSetup(signal) {
  endChildren();
  process.exit(signal === 'SIGINT' ? 130 : 143);
}

async function main([name, ...args]) {
  const command = commands[name];
  if (command === undefined) {
    throw new SetupError(`Unknown command ${name ?? '(none)'}.`, `Known: ${Object.keys(commands).join(', ')}.`);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, interruptSetup);
  return command(args);
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    sayError(error);
    endChildren();
    process.exit(1);
  },
);
