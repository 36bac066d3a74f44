import { EXIT } from '../../domain/contract';
import { createConsole } from '../console';
import { table, time } from '../format';
import { requiredConfig } from '../session';
import { listBackups, newVaultNote } from '../vaults';

/** Backups in the vault, newest first; of all clusters when none is named. Needs no Temporal. */
export async function run(cluster: string | undefined, options: { config?: string; json?: boolean }): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await requiredConfig(options.config);
  const clusters = cluster === undefined ? Object.keys(local.config.clusters) : [cluster];
  const backups = (await Promise.all(clusters.map((name) => listBackups(local, name)))).flat();
  if (options.json) {
    screen.json({ backups });
  } else if (backups.length === 0) {
    screen.say('No backups yet.');
    const notes = await Promise.all(clusters.map((name) => newVaultNote(local, name)));
    for (const note of new Set(notes)) if (note !== null) screen.say(`  ${note}`);
  } else {
    const rows = backups.map((entry) => [entry.cluster, entry.id, entry.status, entry.sealedAt === null ? (entry.note ?? '') : time(entry.sealedAt)]);
    for (const line of table([['CLUSTER', 'BACKUP', 'STATUS', 'SEALED'], ...rows])) screen.out(line);
  }
  return EXIT.ok;
}
