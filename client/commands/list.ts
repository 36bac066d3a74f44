import { EXIT } from '../../domain/contract';
import { createConsole } from '../console';
import { ago, bytes, table } from '../format';
import { requiredConfig } from '../session';
import { inVault, listBackups, newVaultNote, type BackupEntry } from '../vaults';
import { givenUpText, verifiedText } from '../verified';

/** Backups in the vault, newest first; of all clusters when none is named. Needs no Temporal. */
export async function run(cluster: string | undefined, options: { config?: string; vault?: string; json?: boolean }): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = inVault(await requiredConfig(options.config), options.vault);
  const clusters = cluster === undefined ? Object.keys(local.config.clusters) : [cluster];
  const backups = (await Promise.all(clusters.map((name) => listBackups(local, name)))).flat();
  if (options.json) {
    screen.json({ backups });
  } else if (backups.length === 0) {
    screen.say('No backups yet.');
    const notes = await Promise.all(clusters.map((name) => newVaultNote(local, name)));
    for (const note of new Set(notes)) if (note !== null) screen.say(`  ${note}`);
  } else {
    const header = ['CLUSTER', 'BACKUP', 'STATUS', 'SEALED', 'TAGS', 'IMAGES', 'ADDED', 'VERIFIED'];
    for (const line of table([header, ...backups.map(row)])) screen.out(line.trimEnd());
  }
  return EXIT.ok;
}

function row(entry: BackupEntry): string[] {
  const { cluster, id, status, sealedAt, note } = entry;
  const size = (value: number | null): string => (value === null ? '-' : bytes(value));
  return [cluster, id, status, sealedAt === null ? '-' : ago(sealedAt), String(entry.tags ?? '-'), size(entry.imageBytes), size(entry.storedBytes), [note ?? verifiedText(entry), givenUpText(entry)].filter((text) => text !== '').join('; ')];
}
