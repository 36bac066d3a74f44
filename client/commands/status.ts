import { EXIT } from '../../domain/contract';
import { createConsole, type Console } from '../console';
import { between, seconds } from '../format';
import { requiredConfig } from '../session';
import { readStatus, type ClusterStatus, type Status } from '../status';

/** All clusters of the configuration. Works with no Temporal: the vault's part is shown, and what is silent is named. */
export async function run(options: { config?: string; json?: boolean }): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const status = await readStatus(await requiredConfig(options.config));
  if (options.json) screen.json(status);
  else printStatus(status, screen);
  return EXIT.ok;
}

function printStatus(status: Status, screen: Console): void {
  const { colors } = screen;
  for (const cluster of status.clusters) {
    screen.out(`${colors.bold(cluster.name)}  ${lastBackup(cluster)}`);
    for (const { workflowId, what, remedy } of cluster.unfinished) {
      if (cluster.running.some((run) => run.workflowId === workflowId)) continue;
      screen.out(`  ${colors.yellow(what)}`);
      screen.out(`    ${remedy}`);
    }
    for (const run of cluster.running) {
      screen.out(`  ${run.workflowId}: ${run.gate === null ? run.stage : colors.yellow(`waits for people at gate "${run.gate}"`)}`);
      if (run.stuck !== null) screen.out(`    ${colors.red('no worker can go on with it')}: ${run.stuck}; see \`drydock show ${run.workflowId}\``);
    }
  }
  const { temporal } = status;
  if (!temporal.reachable) screen.out(colors.yellow(`Temporal: ${temporal.error ?? 'unreachable'}; what runs now is not known`));
  else screen.out(`Temporal at ${temporal.address}, ${temporal.workerListens ? 'a worker listens' : colors.yellow('no worker listens: start one with `drydock worker`')}`);
}

function lastBackup(cluster: ClusterStatus): string {
  if (cluster.vaultError !== null) return `the vault cannot be read: ${cluster.vaultError}`;
  const { lastBackup: last } = cluster;
  if (cluster.backups === 0) return `no backup yet${cluster.vaultNote === null ? '' : `; ${cluster.vaultNote}`}`;
  if (!last?.sealedAt) return `no complete backup, ${cluster.backups} others`;
  return `last complete backup ${last.id}, ${seconds(between(last.sealedAt, new Date().toISOString()))} ago`;
}
