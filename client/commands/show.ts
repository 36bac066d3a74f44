import { backupIdSchema, EXIT } from '../../domain/contract';
import { createConsole, type Console } from '../console';
import { table, time } from '../format';
import { describeOperation, type OperationSummary } from '../operations';
import { howToVote } from '../progress';
import { reportOf } from '../run-to-end';
import { openSession, optionalConfig, requiredConfig } from '../session';
import { readManifest } from '../vaults';

export interface ShowOptions {
  config?: string;
  json?: boolean;
}

/** One run, by its workflow id, or one backup, by its backup id. Needs no worker; a backup needs no Temporal. */
export async function run(id: string, options: ShowOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  return backupIdSchema.safeParse(id).success ? showBackup(id, options, screen) : showRun(id, options, screen);
}

async function showRun(workflowId: string, options: ShowOptions, screen: Console): Promise<number> {
  const session = await openSession(await optionalConfig(options.config));
  try {
    const run = await describeOperation(session, workflowId);
    if (options.json) screen.json(run);
    else printRun(run, screen);
    return EXIT.ok;
  } finally {
    await session.close();
  }
}

function printRun(run: OperationSummary, screen: Console): void {
  const rows = [
    [run.workflowId, `${screen.colors.bold(run.status)}, stage ${run.stage}`],
    ['started', time(run.startedAt)],
    ...(run.endedAt === null ? [] : [['ended', time(run.endedAt)]]),
    ['link', run.url],
  ];
  for (const line of table(rows)) screen.out(line);
  if (run.error !== null) screen.out(`${screen.colors.red('error')}: ${run.error}${run.remedy === null ? '' : `\n  ${run.remedy}`}`);
  if (run.status === 'completed') for (const line of reportOf(run)) screen.out(line);
  if (run.gate) {
    screen.out(`\nWaiting at gate "${run.gate.name}": ${run.gate.question}\n`);
    for (const line of run.gate.details.split('\n')) screen.out(line);
    screen.out(`\nPlan digest ${run.gate.planDigest}`);
    for (const line of howToVote(run.workflowId, run.gate)) screen.out(line);
  }
}

/** The manifest holds no secret and no repository name, so it can be shown as it is. */
async function showBackup(id: string, options: ShowOptions, screen: Console): Promise<number> {
  const { cluster, manifest } = await readManifest(await requiredConfig(options.config), id);
  if (options.json) {
    screen.json(manifest);
    return EXIT.ok;
  }
  screen.out(`Backup ${id} of ${cluster}`);
  const rows = Object.entries(manifest)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([key, value]) => [`  ${key}`, String(value)]);
  for (const line of table(rows)) screen.out(line);
  screen.out('The whole manifest: add --json.');
  return EXIT.ok;
}
