/** The lab command: `npm run lab -- up|down|status|push|break|heal|cut|rebuild|load|exec`. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { DTR_VERSIONS, type DtrVersion } from '../contract';
import { NODES } from '../contract';
import { HOSTS, type HostName, nodeName } from '../hosts/hosts';
import { allDone, LabError, pipeImages } from '../hosts/process';
import { BREAKS, type Break, breakLab, rebuild } from './break';
import { openLab, requireUp } from './context';
import { describeLab } from './describe';
import { execOnHost } from './exec';
import { healLab } from './heal';
import { pushToLab } from './push';
import { labStatus, statusText } from './status';
import { up } from './up';

const interrupted = new AbortController();
let firstSignal = 0;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // One Ctrl-C may arrive twice, from the terminal and from the process above; a second one later means now.
    if (firstSignal === 0) firstSignal = Date.now();
    else if (Date.now() - firstSignal > 2000) process.exit(130);
    interrupted.abort(new LabError('interrupted'));
  });
}

interface Json {
  json?: boolean;
}

function wholeNumber(value: string): number {
  if (!/^[0-9]+$/.test(value)) throw new InvalidArgumentError('expected a whole number');
  return Number(value);
}

/** With --json one object on one line, last on standard output; else a sentence on standard error. */
function report(options: Json, object: unknown, sentence: string): void {
  if (options.json === true) process.stdout.write(`${JSON.stringify(object)}\n`);
  else process.stderr.write(`${sentence}\n`);
}

const program = new Command('lab').description('A stand-in DTR on a real Swarm of hosts in containers (see lab/README.md)').showHelpAfterError();

program
  .command('up')
  .description('bring up hosts, Swarm, UCP and DTR')
  .addOption(new Option('--dtr <version>', 'version of DTR').choices(DTR_VERSIONS).default('2.9.4'))
  .addOption(new Option('--replicas <number>', 'how many replicas').choices(['1', '3']).default('3'))
  .addOption(new Option('--storage <kind>', 'where images lie (default: nfs with three replicas, local with one)').choices(['local', 'nfs']))
  .option('--bare', 'hosts, Swarm and UCP only, without DTR')
  .option('--json', 'print one JSON object')
  .action(async (options: Json & { dtr: DtrVersion; replicas: string; storage?: 'local' | 'nfs'; bare?: boolean }) => {
    const lab = openLab(interrupted.signal);
    const replicas = options.bare === true ? 0 : Number(options.replicas);
    const storage = options.storage ?? (replicas === 3 ? 'nfs' : 'local');
    if (replicas === 3 && storage === 'local') program.error('three replicas need shared storage: --storage nfs');
    await up(lab, { ...(options.bare === true ? {} : { dtr: options.dtr }), replicas, storage });
    report(options, await describeLab(lab), `the lab is up: registry https://${lab.names.addresses.lb}, UCP ${lab.ucp.url}, configuration ${lab.state.file('drydock.yaml')}`);
  });

program
  .command('down')
  .description('remove everything of this lab: containers, volumes, network, state')
  .option('--json', 'print one JSON object')
  .action(async (options: Json) => {
    const lab = openLab();
    await lab.steps.run('removing the lab', async () => {
      await lab.hosts.removeAll();
      await lab.state.remove();
    });
    report(options, { down: true }, 'nothing of the lab is left');
  });

program
  .command('status')
  .description('hosts, Swarm, replicas and the registry as they are now')
  .option('--json', 'print one JSON object')
  .action(async (options: Json) => {
    const status = await labStatus(openLab(interrupted.signal));
    report(options, status, statusText(status));
  });

program
  .command('heal')
  .description('bring back what was killed or cut off, with all that ran on it')
  .option('--json', 'print one JSON object')
  .action(async (options: Json) => {
    const nodes = await healLab(openLab(interrupted.signal));
    report(options, { healed: nodes }, nodes.length === 0 ? 'there was nothing to heal' : `healed: ${nodes.join(', ')}`);
  });

program
  .command('push')
  .description('push real images of several repositories, the same for the same seed')
  .option('--repos <number>', 'repositories', wholeNumber, 6)
  .option('--tags <number>', 'tags in each', wholeNumber, 3)
  .option('--mib <number>', 'MiB of distinct layers, about', wholeNumber, 64)
  .option('--seed <number>', 'another seed adds other images', wholeNumber, 1)
  .addOption(new Option('--client <name>', 'what pushes').choices(['auto', 'skopeo', 'direct']).default('auto'))
  .option('--json', 'print one JSON object')
  .action(async (options: Json & { repos: number; tags: number; mib: number; seed: number; client: 'auto' | 'skopeo' | 'direct' }) => {
    const pushed = await pushToLab(openLab(interrupted.signal), options);
    report(options, pushed, `${pushed.images.length} images in ${pushed.repositories.length} repositories, ${(pushed.bytes / 2 ** 20).toFixed(1)} MiB`);
  });

program
  .command('break')
  .description('an accident: replica (its containers killed), node, majority (hosts killed), volume (image blobs deleted), metadata (the store deleted)')
  .addArgument(new Argument('<what>').choices(BREAKS))
  .option('--node <name...>', 'where (default: what the lab finds sensible)')
  .option('--json', 'print one JSON object')
  .action(async (what: Break, options: Json & { node?: string[] }) => {
    const broken = await breakLab(openLab(interrupted.signal), what, (options.node ?? []).map(nodeName));
    report(options, broken, `broken: ${what} on ${broken.nodes.join(', ')}`);
  });

program
  .command('cut')
  .description('disconnect a host from the network; `heal` connects it again')
  .argument('<node>', NODES.join(', '))
  .option('--json', 'print one JSON object')
  .action(async (name: string, options: Json) => {
    const lab = openLab(interrupted.signal);
    await requireUp(lab);
    const node = nodeName(name);
    await lab.hosts.cut(node);
    report(options, { cut: node }, `${node} is cut off`);
  });

program
  .command('rebuild')
  .description('an empty host under the same name and address, with a new SSH host key')
  .argument('<node>', NODES.join(', '))
  .option('--no-images', "leave DTR's images out, too")
  .option('--trust', 'write the new host key to known_hosts')
  .option('--json', 'print one JSON object')
  .action(async (name: string, options: Json & { images: boolean; trust?: boolean }) => {
    const result = await rebuild(openLab(interrupted.signal), nodeName(name), { images: options.images, trust: options.trust === true });
    report(options, result, `${result.node} is empty and in the Swarm; its host key is ${result.hostKey}`);
  });

program
  .command('load')
  .description("load images of the machine's engine into the hosts' engines")
  .argument('<images...>')
  .option('--node <name...>', 'only there')
  .option('--json', 'print one JSON object')
  .action(async (images: string[], options: Json & { node?: string[] }) => {
    const lab = openLab(interrupted.signal);
    await requireUp(lab);
    const nodes = options.node === undefined ? [...NODES] : options.node.map(nodeName);
    await lab.steps.run(`loading ${images.join(', ')}`, () =>
      allDone(nodes.map((node) => pipeImages(images, ['exec', '-i', lab.names.container(node), 'docker', 'load', '--quiet'], lab.signal))),
    );
    report(options, { loaded: images, nodes }, `loaded on ${nodes.join(', ')}`);
  });

program
  .command('exec')
  .description('run a command on a host as root')
  .argument('<host>', HOSTS.join(', '))
  .argument('<command...>')
  .option('--json', 'print one JSON object with exit code and output')
  .action(async (name: string, command: string[], options: Json) => {
    const lab = openLab(interrupted.signal);
    await requireUp(lab);
    if (!(HOSTS as readonly string[]).includes(name)) throw new LabError(`there is no host ${name}; the hosts are ${HOSTS.join(', ')}`);
    process.exitCode = await execOnHost(lab, name as HostName, command, options.json === true);
  });

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${interrupted.signal.aborted ? 'interrupted' : error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
});
