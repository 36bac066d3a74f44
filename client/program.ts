/**
 * All commands with their options and help. Each loads its own module only when it runs, so that `drydock --help` is there at once.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { BackupOptions } from './commands/backup';
import type { KeyRotateOptions } from './commands/key-rotate';
import type { CopyOptions } from './commands/copy';
import type { ExtractCommandOptions } from './commands/extract';
import type { ForgetOptions } from './commands/forget';
import type { LsOptions } from './commands/ls';
import type { PruneOptions } from './commands/prune';
import type { ReconcileOptions } from './commands/reconcile';
import type { RestoreOptions } from './commands/restore';
import type { ShowOptions } from './commands/show';
import type { UpOptions } from './commands/up';
import type { InitOptions, VaultOptions } from './commands/vault';
import type { VerifyOptions } from './commands/verify';
import type { VoteOptions } from './commands/vote';
import { EXIT_CODES_HELP } from './exit-codes';
import { example, subcommandTerm } from './help';

const VOTES = [
  ['approve', 'approve what a run asks for at a gate'],
  ['reject', 'reject what a run asks for at a gate'],
  ['retry', 'at a gate that offers it: have tried again what failed, or looked at again what differs'],
] as const;

/** `onExit` receives the exit code of the command that ran. */
export function createProgram(version: string, onExit: (code: number) => void): Command {
  const program = new Command('drydock')
    .description('Back up and restore Docker Trusted Registry and Mirantis Secure Registry 2.x, on Temporal.')
    .version(version)
    .option('--config <file>', 'configuration file (else DRYDOCK_CONFIG, else ./drydock.yaml)')
    .showSuggestionAfterError()
    .configureHelp({ subcommandTerm })
    .addHelpText('after', EXAMPLES + EXIT_CODES_HELP);

  /** A command with the options that all have; `--config` may stand before or after its name. */
  const command = (name: string, description: string): Command =>
    program.command(name).description(description).addOption(new Option('--config <file>', 'configuration file'));
  const withJson = (target: Command): Command => target.option('--json', 'one JSON object on standard output, all else on standard error');
  const act = async <Options>(from: Command, action: (options: Options) => Promise<number>): Promise<void> => {
    onExit(await action(from.optsWithGlobals<Options & object>()));
  };

  withJson(command('up', 'start a Temporal development server and a worker here; the database is kept under stateDir'))
    .option('--port <n>', 'port of the Temporal server (default: from temporal.address, 7233)', portNumber)
    .option('--ui-port <n>', 'port of the Temporal UI (default: from temporal.uiUrl, 8233)', portNumber)
    .addHelpText('after', example('drydock up', 'drydock up --port 7300 --ui-port 8300'))
    .action((_options, self: Command) => act<UpOptions>(self, async (options) => (await import('./commands/up.js')).run(options)));

  command('worker', 'work for a Temporal server that runs elsewhere')
    .addHelpText('after', example('TEMPORAL_ADDRESS=temporal.example.com:7233 drydock worker --config /etc/drydock/drydock.yaml'))
    .action((_options, self: Command) => act<{ config?: string }>(self, async (options) => (await import('./commands/worker.js')).run(options)));

  withJson(command('backup <cluster>', 'make a backup and watch it to its end'))
    .option('--reason <text>', 'why; kept with the run')
    .option('--detach', 'start it and return at once')
    .addHelpText('after', example('drydock backup prod', 'drydock backup prod --json | jq -r .backupId'))
    .action((cluster: string, _options, self: Command) => act<BackupOptions>(self, async (options) => (await import('./commands/backup.js')).run(cluster, options)));

  withJson(command('restore <cluster>', 'restore from a backup; stops at gates until an approver has decided'))
    .requiredOption('--backup <id>', 'backup id, or latest')
    .option('--vault <name>', 'read from another vault than the cluster\'s own, such as a copy')
    .option('--target <replica=node,...>', 'host that takes the place of a lost one: REPLICA=NODE[,host=ADDRESS,port=PORT,key=FILE]; may be repeated', collect)
    .option('--force', 'although all replicas are healthy, or only a minority is lost')
    .option('--accept-missing-owners', 'although owners of repositories do not exist on the target UCP')
    .option('--accept-unsigned', 'although a signature is asked for and the backup has no good one')
    .option('--reason <text>', 'why; kept with the run')
    .option('--detach', 'start it and return at once')
    .option('--approve-as <name>', 'on a terminal: offer the decision at each gate to this approver')
    .addHelpText(
      'after',
      example(
        'drydock restore prod --backup latest --reason "storage lost, INC-4711"',
        'drydock restore prod --backup 20261123T020000Z-1a2b3c --target 5eb9459a7832=node-4,host=10.0.0.14,key=node-4.pub',
      ),
    )
    .action((cluster: string, _options, self: Command) => act<RestoreOptions>(self, async (options) => (await import('./commands/restore.js')).run(cluster, options)));

  for (const [decision, what] of VOTES) {
    const vote = withJson(command(`${decision} <workflow-id>`, `${what}; works while no worker is up`))
      .requiredOption('--gate <name>', 'name of the gate')
      .requiredOption('--by <name>', 'your name, as it stands in approvers')
      .option('--plan-digest <hex>', 'vote on the plan with this digest only; needed without a terminal (on one: the plan is printed and you are asked)');
    if (decision !== 'reject') vote.option('--reason <text>', 'why; kept with the run');
    else vote.requiredOption('--reason <text>', 'why; kept with the run');
    vote
      .addHelpText('after', example(`drydock ${decision} restore/prod/20261123T081500Z-0c1d2e --gate plan --plan-digest DIGEST --by operator --reason "INC-4711"`))
      .action((id: string, _options, self: Command) => act<VoteOptions>(self, async (options) => (await import('./commands/vote.js')).run(decision, id, options)));
  }

  withJson(command('watch <workflow-id>', 'watch a run to its end; Ctrl-C leaves it running'))
    .addHelpText('after', example('drydock watch backup/prod/20261123T020000Z-1a2b3c'))
    .action((id: string, _options, self: Command) => act<ShowOptions>(self, async (options) => (await import('./commands/watch.js')).run(id, options)));

  withJson(command('status', 'all clusters: last backup, what runs now, who is waited for'))
    .addHelpText('after', example('drydock status', 'drydock status --json'))
    .action((_options, self: Command) => act<ShowOptions>(self, async (options) => (await import('./commands/status.js')).run(options)));

  withJson(command('list [cluster]', 'backups in the vault, newest first; needs no Temporal'))
    .option('--vault <name>', 'what is in another vault, such as a copy')
    .addHelpText('after', example('drydock list', 'drydock list prod --json'))
    .action((cluster: string | undefined, _options, self: Command) => act<ShowOptions>(self, async (options) => (await import('./commands/list.js')).run(cluster, options)));

  withJson(command('show <workflow-or-backup-id>', 'one run or one backup; needs no worker'))
    .option('--vault <name>', 'of a backup: as it lies in another vault, such as a copy')
    .addHelpText('after', example('drydock show restore/prod/20261123T081500Z-0c1d2e', 'drydock show 20261123T020000Z-1a2b3c --json'))
    .action((id: string, _options, self: Command) => act<ShowOptions>(self, async (options) => (await import('./commands/show.js')).run(id, options)));

  withJson(command('verify <cluster-or-backup>', 'verify a backup: of a cluster the newest complete one'))
    .addOption(new Option('--level <level>', 'how thoroughly: L0 seal and files, L1 links, L2 every tag, L3 every byte, L4 the metadata\'s rows').choices(['L0', 'L1', 'L2', 'L3', 'L4']).default('L2'))
    .option('--vault <name>', 'look into another vault than the cluster\'s own, such as a copy')
    .option('--part <n/t>', 'read the n-th of t parts, so that t runs read all', partOf)
    .option('--without-keys', 'look at ciphertext only, although a key is at hand')
    .option('--reason <text>', 'why; kept with the run')
    .option('--detach', 'start it and return at once')
    .addHelpText('after', example('drydock verify prod', 'drydock verify 20261123T020000Z-1a2b3c --level L3 --part 1/7', 'drydock verify prod --level L4 --json | jq .findings'))
    .action((target: string, _options, self: Command) => act<VerifyOptions>(self, async (options) => (await import('./commands/verify.js')).run(target, options)));

  withJson(command('prune <cluster>', 'mark backups that `keep` gives up, and remove what was marked longer ago than retention.hold'))
    .option('--dry-run', 'explain each decision and change nothing')
    .option('--reason <text>', 'why; kept with the run')
    .option('--detach', 'start it and return at once')
    .addHelpText('after', example('drydock prune prod --dry-run', 'drydock prune prod --json | jq .removed'))
    .action((cluster: string, _options, self: Command) => act<PruneOptions>(self, async (options) => (await import('./commands/prune.js')).run(cluster, options)));

  withJson(command('copy <cluster>', 'fill the copies of a cluster from its vault; backups go on beside it'))
    .option('--to <vault>', 'only this vault (default: each of copies)')
    .option('--from <vault>', 'from this vault, such as a copy (default: the cluster\'s own)')
    .option('--backup <id>', 'only this backup, even where retention would not keep it')
    .option('--reason <text>', 'why; kept with the run')
    .option('--detach', 'start it and return at once')
    .addHelpText('after', example('drydock copy prod', 'drydock copy prod --from mirror --to main', 'drydock copy prod --to mirror --backup 20261123T020000Z-1a2b3c'))
    .action((cluster: string, _options, self: Command) => act<CopyOptions>(self, async (options) => (await import('./commands/copy.js')).run(cluster, options)));

  withJson(command('forget <backup>', 'give one backup up: it is removed when retention.hold is over; asks approvers when it is the last verified or the newest drilled one'))
    .option('--undo', 'take that back, while the hold lasts')
    .option('--vault <name>', 'only in this vault (default: the cluster\'s own and its copies)')
    .option('--reason <text>', 'why; kept with the run and the mark')
    .option('--detach', 'start it and return at once')
    .option('--approve-as <name>', 'on a terminal: offer the decision at the gate to this approver')
    .addHelpText('after', example('drydock forget 20261123T020000Z-1a2b3c --reason "holds a leaked key"', 'drydock forget 20261123T020000Z-1a2b3c --undo'))
    .action((id: string, _options, self: Command) => act<ForgetOptions>(self, async (options) => (await import('./commands/forget.js')).run(id, options)));

  const vault = program.command('vault').description('vaults as such; needs no Temporal');
  const ofVault = (name: string, description: string): Command => withJson(vault.command(name).description(description).addOption(new Option('--config <file>', 'configuration file')));
  ofVault('init [vault]', 'make a vault where there is none, and try it out (default: all vaults of drydock.yaml); safe to repeat')
    .option('--new', 'it is really another vault than the one that was used under this name before: from now on this one is it')
    .addHelpText('after', example('drydock vault init offsite', 'drydock vault init offsite --new'))
    .action((name: string | undefined, _options, self: Command) => act<InitOptions>(self, async (options) => (await import('./commands/vault.js')).init(name, options)));
  ofVault('check [vault]', 'try a vault out, and account for every name in it; ends with 6 when something is missing or foreign')
    .addHelpText('after', example('drydock vault check', 'drydock vault check offsite --json | jq .vaults[].findings'))
    .action((name: string | undefined, _options, self: Command) => act<VaultOptions>(self, async (options) => (await import('./commands/vault.js')).check(name, options)));
  ofVault('stats [vault-or-cluster]', 'what backups take up: by kind, by backup, how often content is shared, how fast it grows')
    .addHelpText('after', example('drydock vault stats', 'drydock vault stats prod --json'))
    .action((name: string | undefined, _options, self: Command) => act<VaultOptions>(self, async (options) => (await import('./commands/vault.js')).stats(name, options)));

  const key = program.command('key').description('keys of backups');
  withJson(key.command('rotate <cluster>').description('new recipients from now on: check them, and say what older backups need; needs no Temporal').addOption(new Option('--config <file>', 'configuration file')))
    .option('--rewrap', 'open older backups to today\'s recipients, where a key at hand opens them')
    .addHelpText('after', example('drydock key rotate prod', 'drydock key rotate prod --rewrap'))
    .action((cluster: string, _options, self: Command) => act<KeyRotateOptions>(self, async (options) => (await import('./commands/key-rotate.js')).run(cluster, options)));

  const ofBackup = (target: Command): Command =>
    withJson(target).option('--cluster <name>', 'whose backup; needed for latest where several clusters are configured').option('--vault <name>', 'read from another vault, such as a copy');

  ofBackup(command('ls <backup-id>', 'repositories, tags, digests, sizes and platforms of a backup; needs no Temporal'))
    .option('--repo <repository[:tag]>', 'only this repository, or this tag')
    .option('--platforms', 'look up platforms also where there are very many tags')
    .addHelpText('after', example('drydock ls 20261123T020000Z-1a2b3c', 'drydock ls latest --cluster prod --repo acme/web --json'))
    .action((id: string, _options, self: Command) => act<LsOptions>(self, async (options) => (await import('./commands/ls.js')).run(id, options)));

  ofBackup(command('extract <backup-id>', 'take metadata, or the images of one repository, out of a backup; needs no Temporal'))
    .option('--repo <repository[:tag]>', 'an OCI image layout of this repository, or of one tag, for skopeo')
    .option('--blobs', 'with the metadata: the whole content of the registry volume')
    .requiredOption('-o, --output <dir>', 'directory to be made; it must not exist yet')
    .addHelpText(
      'after',
      example(
        'drydock extract 20261123T020000Z-1a2b3c -o metadata',
        'drydock extract latest --cluster prod --repo acme/web:1.2 -o web && skopeo copy --all oci:web:1.2 docker://registry.example.com/acme/web:1.2',
      ),
    )
    .action((id: string, _options, self: Command) => act<ExtractCommandOptions>(self, async (options) => (await import('./commands/extract.js')).run(id, options)));

  withJson(command('reconcile <cluster>', 'put back what a terminated operation had changed, and say of an unfinished restore what to do; works with an empty Temporal too'))
    .option('--end-restore <operation>', 'this unfinished restore is over: the registry was brought back in another way (changes nothing in the registry)')
    .option('--detach', 'start it and return at once')
    .addHelpText('after', example('drydock reconcile prod', 'drydock reconcile prod --end-restore restore_prod_20261123T020000Z-1a2b3c'))
    .action((cluster: string, _options, self: Command) => act<ReconcileOptions>(self, async (options) => (await import('./commands/reconcile.js')).run(cluster, options)));

  withJson(command('cancel <workflow-id>', 'stop a run; it puts back first what it had changed, but for what a restore has destroyed'))
    .addHelpText('after', example('drydock cancel backup/prod/20261123T020000Z-1a2b3c'))
    .action((id: string, _options, self: Command) => act<ShowOptions>(self, async (options) => (await import('./commands/cancel.js')).run(id, options)));

  return program;
}

const EXAMPLES = example(
  'drydock up    # a first Temporal and a worker, on this machine',
  'drydock backup prod',
  'drydock restore prod --backup latest',
  'drydock approve WORKFLOW_ID --gate plan --plan-digest DIGEST --by operator --reason "INC-4711"',
);

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function partOf(value: string): { n: number; t: number } {
  const match = /^([1-9][0-9]{0,4})\/([1-9][0-9]{0,4})$/.exec(value);
  const [n, t] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || n > t) throw new InvalidArgumentError('expected n/t with n from 1 to t, such as 2/7.');
  return { n, t };
}

function portNumber(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new InvalidArgumentError('expected a port from 1 to 65535.');
  return port;
}
