/** `npm run demo`: brings up the lab and `drydock up`, plays the story, and leaves nothing behind unless told to. */
import { Command } from 'commander';
import { EXIT } from '../../domain/contract';
import { createConsole } from '../../client/console';
import { explain } from '../../client/failures';
import { openLab, type Lab } from '../cli/context';
import { describeLab } from '../cli/describe';
import { up } from '../cli/up';
import { LabError } from '../hosts/process';
import { choosePorts, DrydockUp, stopKept, usual } from './drydock-up';
import { Gatekeeper } from './gates';
import { Narrator } from './narrator';
import { RejectedError } from './operations';
import { stopOnSignals } from './stop';
import { playStory, type Told } from './story';

interface Options {
  yes?: boolean;
  keep?: boolean;
  down?: boolean;
}

/** An operation that no person holds up ends well before this. */
const LIMIT_MINUTES = 15;
const screen = createConsole({ json: false });

async function main(): Promise<number> {
  const command = new Command('npm run demo --')
    .description('A registry is filled, backed up, destroyed, and restored, before your eyes.')
    .option('--yes', 'approve the gates without asking (as without a terminal)')
    .option('--keep', 'leave everything running at the end and print the links')
    .option('--down', 'take down what an earlier --keep left, and nothing else')
    .parse();
  const options = command.opts<Options>();
  if (options.down === true) return takeDown();
  const signal = stopOnSignals((line) => screen.say(line));
  const lab = openLab(signal);
  if (await standing(lab)) throw new LabError(`a lab is up already and would be destroyed by the story; take it down first: ${prefix(lab)}npm run demo -- --down`);
  return await play(lab, signal, options);
}

async function play(lab: Lab, signal: AbortSignal, options: Options): Promise<number> {
  const started: { up?: DrydockUp } = {};
  let keep = false;
  try {
    const told = await tell(lab, signal, options, started);
    keep = options.keep === true;
    if (keep && started.up) await printLinks(lab, started.up, told);
    return EXIT.ok;
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted;
    // Who asked to keep things wants to look at what went wrong, too.
    keep = options.keep === true;
    printFailure('The story ends here', error);
    if (keep && started.up) await printLinks(lab, started.up);
    return error instanceof RejectedError ? EXIT.rejected : EXIT.failed;
  } finally {
    if (!keep) await cleanUp(lab.names.name, started.up);
  }
}

async function tell(lab: Lab, signal: AbortSignal, options: Options, started: { up?: DrydockUp }): Promise<Told> {
  const narrator = new Narrator(screen);
  const ask = options.yes !== true && screen.interactive;
  narrator.say(ask ? 'You decide at the gates.' : 'Nobody is asked: the demo approves the gates itself, by the update that a person would send.');
  await narrator.chapter('A registry', 'DTR 2.9.4 in three replicas on three hosts of a real Docker Swarm, with shared storage. A stand-in: lab/README.md says what is real.', async () => {
    await up(lab, { dtr: '2.9.4', replicas: 3, storage: 'nfs' });
  });
  const drydock = await narrator.chapter('Drydock', 'A Temporal development server and a worker, in one process tree: `drydock up`.', async () => {
    started.up = await startDrydock(lab, signal);
    return started.up;
  });
  const session = await drydock.openSession();
  try {
    const stop = AbortSignal.any([signal, drydock.endedEarly]);
    const gatekeeper = new Gatekeeper(session, screen, ask, stop);
    const told = await playStory(lab, { session, screen, gatekeeper, signal: stop, limitMinutes: ask ? undefined : LIMIT_MINUTES }, narrator);
    narrator.closingTable();
    return told;
  } finally {
    await session.close();
  }
}

async function startDrydock(lab: Lab, signal: AbortSignal): Promise<DrydockUp> {
  const ports = await choosePorts();
  if (!usual(ports)) screen.out(`Temporal's usual ports 7233 and 8233 are taken, so it listens on ${ports.port} and its UI on ${ports.uiPort}.`);
  const drydock = await DrydockUp.start(lab.state.file('drydock.yaml'), ports, signal);
  screen.out(`Temporal listens on ${drydock.address}; its UI is ${drydock.uiUrl}`);
  return drydock;
}

async function standing(lab: Lab): Promise<boolean> {
  return lab.state.exists && (await lab.hosts.exists()) && (await lab.state.read()).complete;
}

/** `drydock up` first: it works on the lab's files. */
async function cleanUp(name: string, drydock: DrydockUp | undefined): Promise<void> {
  // Not with the lab of the story: its signal may have fired, and would break this off as well.
  const lab = openLab(undefined, name);
  await lab.steps.run('removing what the demo started', async () => {
    await drydock?.stop();
    await lab.hosts.removeAll();
    await lab.state.remove();
  });
}

async function takeDown(): Promise<number> {
  const lab = openLab();
  await lab.steps.run('removing what the demo left', async () => {
    await stopKept(lab.state.file('drydock'));
    await lab.hosts.removeAll();
    await lab.state.remove();
  });
  return EXIT.ok;
}

async function printLinks(lab: Lab, drydock: DrydockUp, told?: Told): Promise<void> {
  const { config, dtrUrl, dtrCa, username, passwordFile } = await describeLab(lab);
  const lines = [
    '',
    screen.colors.bold('Everything is left running'),
    `  Temporal UI   ${drydock.uiUrl}`,
    `  Registry      ${dtrUrl}  (user ${username}, password in ${passwordFile}, authority ${dtrCa})`,
    `  Worker's log  ${drydock.logFile}`,
    '',
    'Look around:',
    `  export DRYDOCK_CONFIG=${config}${usual(drydock.ports) ? '' : ` TEMPORAL_ADDRESS=${drydock.address}`}`,
    '  npm exec drydock -- status',
    '  npm exec drydock -- list',
    ...(told === undefined ? [] : [`  npm exec drydock -- show ${told.backupId}`, `  npm exec drydock -- show ${told.restoreId}`]),
    `  ${prefix(lab)}npm run -s lab -- status`,
    '',
    'Take it down:',
    `  ${prefix(lab)}npm run demo -- --down`,
    '  node scripts/run.mjs stop-engine        # only if set-up started the Docker Engine',
  ];
  for (const line of lines) screen.out(line);
}

/** What stands before a command that means this lab. */
function prefix(lab: Lab): string {
  return lab.names.name === 'lab' ? '' : `DRYDOCK_LAB=${lab.names.name} `;
}

/** Never a stack trace. */
function printFailure(headline: string, error: unknown): void {
  // What the lab says may be several lines: the end of a log.
  const { message, remedy } = error instanceof LabError ? { message: error.message, remedy: undefined } : explain(error);
  screen.say('');
  for (const line of `${screen.colors.red(headline)}: ${message}${remedy ? ` (${remedy})` : ''}`.split('\n')) screen.say(line);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    printFailure('The demo cannot do this', error);
    process.exitCode = EXIT.failed;
  },
);
