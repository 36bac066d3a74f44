#!/usr/bin/env node
/**
 * One door for the commands of a clone: `node scripts/run.mjs demo|test-all|test-long|test|lab|bench|stop-engine [arguments]`.
 * Brings up what the command needs (see setup/), then runs it. Works in a fresh clone: no package is needed to start.
 */
import { SetupError, sayError } from './lib/console.mjs';
import { endChildren } from './lib/exec.mjs';
import { stopOwnEngine } from './setup/engine.mjs';
import { commands } from './commands.mjs';

async function main([name, ...args]) {
  const command = commands[name];
  if (command === undefined) {
    throw new SetupError(`Unknown command ${name ?? '(none)'}.`, `Known: ${Object.keys(commands).join(', ')}.`);
  }
  const leave = () => (command.keepsEngine(args) ? undefined : stopOwnEngine());
  // Until the command runs its own program, an interrupt ends set-up and what set-up started.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => void interruptSetup(signal, leave));
  let result;
  try {
    result = await command.run(args);
  } finally {
    endChildren();
    await leave();
  }
  return typeof result === 'function' ? result() : result;
}

let interrupted = false;

async function interruptSetup(signal, leave) {
  if (interrupted) return;
  interrupted = true;
  endChildren();
  try {
    await leave();
  } finally {
    process.exit(signal === 'SIGINT' ? 130 : 143);
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    // What an interrupt broke off is no failure to report.
    if (interrupted) return;
    sayError(error);
    process.exit(1);
  },
);
