import { backupIdSchema, EXIT } from '../../domain/contract';
import { manifestSchema, type Manifest } from '../../domain/manifest';
import { createConsole, type Console } from '../console';
import { ago, bytes, count, table, time } from '../format';
import { describeOperation, type OperationSummary } from '../operations';
import { howToVote } from '../progress';
import { reportOf } from '../run-to-end';
import { wayOut } from '../stuck';
import { openSession, optionalConfig, requiredConfig } from '../session';
import { inVault, readManifest } from '../vaults';
import { givenUpText, verifiedText } from '../verified';

export interface ShowOptions {
  config?: string;
  json?: boolean;
  /** For a backup: another vault than the cluster's own. */
  vault?: string;
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
    ...(run.url === null ? [] : [['link', run.url]]),
  ];
  for (const line of table(rows)) screen.out(line);
  if (run.stuck !== null) for (const line of [`${screen.colors.red('no worker can go on with this run')}: ${run.stuck}`, `  ${wayOut(run.workflowId, run.cluster ?? undefined)}`]) screen.out(line);
  if (run.error !== null) for (const line of [`${screen.colors.red('error')}: ${run.error}`, ...(run.remedy === null ? [] : [`  ${run.remedy}`])].flatMap((text) => text.split('\n'))) screen.out(line);
  if (run.status === 'completed') for (const line of reportOf(run)) screen.out(line);
  if (run.gate) {
    for (const line of ['', `Waiting at gate "${run.gate.name}": ${run.gate.question}`, '', ...run.gate.details.split('\n'), '', `Plan digest ${run.gate.planDigest}`, ...howToVote(run.workflowId, run.gate)]) screen.out(line);
  }
}

/** The manifest holds no secret and no repository name, so it can be shown as it is. */
async function showBackup(id: string, options: ShowOptions, screen: Console): Promise<number> {
  const { cluster, manifest, entry } = await readManifest(inVault(await requiredConfig(options.config), options.vault), id);
  if (options.json) {
    screen.json(manifest);
    return EXIT.ok;
  }
  screen.out(`Backup ${id} of ${cluster}: ${screen.colors.bold(entry.status)}, ${verifiedText(entry)}`);
  if (entry.givenUp !== null) screen.out(`  ${givenUpText(entry)}: ${entry.givenUp.why}`);
  const parsed = manifestSchema.safeParse(manifest);
  const rows = parsed.success ? factsOf(parsed.data) : [['  note', entry.note ?? 'its manifest is not of a form that this version knows']];
  for (const line of table(rows)) screen.out(line);
  screen.out('The whole manifest: add --json. Repositories and tags: `drydock ls`.');
  return EXIT.ok;
}

function factsOf({ startedAt, sealedAt, startedBy, tool, product: dtr, images, counts, bytes: sizes, artifacts, gaps }: Manifest): string[][] {
  const { ucp } = dtr;
  return [
    ['  made', `${time(startedAt)}, sealed ${time(sealedAt)} (${ago(sealedAt)}), by ${startedBy}, ${tool.name} ${tool.version}`],
    ['  registry', `DTR ${dtr.version}, replica ${dtr.replica} of ${count(dtr.replicas.length, 'replica')}: ${dtr.replicas.map(({ id, node }) => `${id} on ${node}`).join(', ')}`],
    ['  UCP', `${ucp.url}, version ${ucp.version}`],
    ['  storage', images.in === 'elsewhere' ? `not in this backup: ${images.keptBy}` : `${images.storage.kind}, volume ${images.volume.name}, layout ${images.layouts.join(' and ')}`],
    ['  holds', `${count(counts.repositories, 'repository', 'repositories')}, ${count(counts.tags, 'tag')}, ${count(counts.manifests, 'manifest')}, ${count(counts.blobs, 'blob')}, ${bytes(sizes.images)} of images; ${count(counts.rows, 'row')} of metadata`],
    ['  stored', `${bytes(sizes.stored)} added to the vault, ${count(counts.newBlobs, 'new blob')}; it uses ${count(counts.segments, 'segment')}`],
    ['  opened by', artifacts.metadata.recipients.join(', ')],
    ...(counts.warnings === 0 && counts.acceptedGaps === 0 ? [] : [['  noted', `${count(counts.warnings, 'warning')}, ${count(counts.acceptedGaps, 'accepted gap')}${counts.warnings === 0 ? '' : ', in words: `drydock ls`'}`]]),
    ...(gaps.length === 0 && counts.inFlight === 0 ? [] : [['  not in it', `${count(counts.gaps, 'gap')}, ${count(counts.inFlight, 'tag')} in flight`]]),
  ];
}
