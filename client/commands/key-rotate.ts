import { EXIT } from '../../domain/contract';
import { createConsole, type Console } from '../console';
import { count, table, time } from '../format';
import { rotateKeys, type RotateReport } from '../keys';
import { requiredConfig } from '../session';

export interface KeyRotateOptions {
  config?: string;
  rewrap?: boolean;
  json?: boolean;
}

/** From now on backups are written for the configured recipients; says what older ones need, and with `--rewrap` gives it to them. Needs no Temporal. */
export async function run(cluster: string, options: KeyRotateOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await requiredConfig(options.config);
  const rewrap = options.rewrap ?? false;
  const report = await rotateKeys(local, cluster, { rewrap });
  if (options.json) screen.json(report);
  else print(report, rewrap, screen);
  // Asked to wrap, and something is left: a key that opens it is not here.
  return rewrap && (report.unreadable.length > 0 || report.backups.some(({ lacks }) => lacks.length > 0)) ? EXIT.failed : EXIT.ok;
}

function print(report: RotateReport, rewrap: boolean, screen: Console): void {
  screen.out(`New backups of ${report.cluster} are written for`);
  for (const recipient of report.recipients) screen.out(`  ${recipient}`);
  screen.out(report.signsWith === null ? 'and not signed.' : `and signed by ${report.signsWith}.`);
  if (rewrap) screen.out(`${count(report.rewrapped, 'file')} got new session key packets beside them.`);
  const behind = report.backups.filter(({ lacks }) => lacks.length > 0);
  if (report.backups.length === 0) {
    screen.out('There are no older backups.');
  } else if (behind.length === 0) {
    screen.out(`All ${count(report.backups.length, 'backup')} can be opened by each of them.`);
  } else {
    screen.out(`${behind.length} of ${count(report.backups.length, 'backup')} cannot be opened by all of them. Keep the keys that open them for as long as you keep them:`);
    const rows = behind.map(({ id, sealedAt, opensWith, lacks, opensHere }) => [id, time(sealedAt), opensWith.join(', ') || 'no one key opens all of it', lacks.join(', '), opensHere ? 'yes' : 'no']);
    for (const line of table([['BACKUP', 'SEALED', 'OPENS WITH', 'NOT FOR', 'OPENS HERE'], ...rows])) screen.out(line);
    if (!rewrap && behind.some(({ opensHere }) => opensHere)) screen.out('With --rewrap those that open here are opened to all recipients; nothing of them is rewritten.');
  }
  for (const warning of report.warnings) screen.out(warning);
  if (report.unreadable.length > 0) screen.out(`Manifests that cannot be read: ${report.unreadable.join(', ')}; see \`drydock verify\`.`);
}
