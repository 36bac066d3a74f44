import { Fatal, Log, messageOf } from '../common/log';
import { RUN } from './commands';
import { commandsOf, parseFlags, usage, UsageError, type Command, type Flags } from './flags';
import type { Tool } from './phase1';
import { CannotPrompt } from './prompt';
import { runRequest } from './phase2';
import { COMPONENTS } from './replica';
import { REQUEST_ENV, type PhaseTwoRequest } from './request';

/** The bootstrapper image's entry: a command with flags, or phase 2 of one. Returns the exit status. */
export async function bootstrapper(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const version = env.DTR_VERSION ?? '';
  const org = env.DTR_ORG ?? '';
  const [name, ...rest] = args;
  if (name === 'phase2') return phase2(env);
  const command = commandsOf(version).find((candidate) => candidate === name);
  if (command === undefined) {
    const known = commandsOf(version).join(', ');
    process.stderr.write(name === undefined || /^-?-?h(elp)?$/.test(name) ? `Commands: ${known}\n` : `No such command: ${name}. Commands: ${known}\n`);
    return name === undefined || /^-?-?h(elp)?$/.test(name) ? 0 : 1;
  }
  const tty = process.stderr.isTTY === true;
  if (rest.some((arg) => /^--?h(elp)?$/.test(arg))) {
    process.stdout.write(usage(command, version));
    return 0;
  }
  let flags: Flags;
  try {
    flags = parseFlags(command, version, rest, env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`Incorrect Usage: ${error.message}\n\n${usage(command, version)}`);
    new Log(tty).fatal(error.message);
    return 1;
  }
  if (flags['help-extended'] === 'true') {
    process.stdout.write(usage(command, version));
    return 0;
  }
  if (command === 'images') {
    process.stdout.write(`${[`${org}/dtr:${version}`, ...COMPONENTS.map((component) => `${org}/dtr-${component}:${version}`)].join('\n')}\n`);
    return 0;
  }
  const log = new Log(tty, flags.debug === 'true');
  return finish(log, describeFailure(command), () => RUN[command]({ version, org, flags, log, mayPrompt: command !== 'restore' } satisfies Tool));
}

async function phase2(env: NodeJS.ProcessEnv): Promise<number> {
  const request = JSON.parse(env[REQUEST_ENV] ?? '{}') as PhaseTwoRequest;
  const log = new Log(env.DTR_TTY === 'true', request.flags.debug === 'true');
  return finish(log, '', () => runRequest(request, log));
}

const FAILED: Partial<Record<Command, string>> = {
  install: 'Failed to install DTR: ',
  restore: 'Failed to install DTR: ',
  join: 'Failed to join DTR: ',
};

function describeFailure(command: Command): string {
  return FAILED[command] ?? '';
}

async function finish(log: Log, prefix: string, work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    if (error instanceof CannotPrompt) {
      log.error(error.message);
      log.fatal('Failed to get the required flags: give them on the command line or in the environment');
      return 1;
    }
    const phase2Failed = error instanceof Fatal && error.message.startsWith('Failed to execute phase 2');
    log.fatal(phase2Failed ? `${prefix}${error.message}` : messageOf(error));
    if (!(error instanceof Fatal)) log.debug(error instanceof Error ? (error.stack ?? '') : String(error));
    return 1;
  }
}
