import { EXIT } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import { createConsole } from '../console';
import { exitCodeOf } from '../../domain/exit-codes';
import { printFailure } from '../failures';
import { ago, bytes, count, table } from '../format';
import { requiredConfig, type LoadedConfig } from '../session';
import { inVault, listBackups, newVaultNote, type BackupEntry } from '../vaults';
import { givenUpText, verifiedText } from '../verified';

/** Backups in the vault, newest first; of all clusters when none is named. Needs no Temporal. */
export async function run(cluster: string | undefined, options: { config?: string; vault?: string; json?: boolean }): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = inVault(await requiredConfig(options.config), options.vault);
  const clusters = cluster === undefined ? Object.keys(local.config.clusters) : [cluster];
  const { backups, vaultErrors, code } = await listAll(local, clusters);
  if (options.json) {
    screen.json({ backups, ...(vaultErrors.length > 0 ? { vaultErrors } : {}) });
  } else if (backups.length === 0 && vaultErrors.length === 0) {
    screen.say('No backups yet.');
    const notes = await Promise.all(clusters.map((name) => newVaultNote(local, name)));
    for (const note of new Set(notes)) if (note !== null) screen.say(`  ${note}`);
  } else if (backups.length > 0) {
    const header = ['CLUSTER', 'BACKUP', 'STATUS', 'SEALED', 'TAGS', 'IMAGES', 'ADDED', 'VERIFIED'];
    for (const line of table([header, ...backups.map(row)])) screen.out(line.trimEnd());
  }
  return code;
}

interface Listed {
  backups: BackupEntry[];
  vaultErrors: { cluster: string; error: string; remedy: string | null }[];
  /** One of EXIT: of the first error. */
  code: number;
}

/** Of several clusters, one whose vault cannot be read is said, and hides the others' backups from nobody. */
async function listAll(local: LoadedConfig, clusters: string[]): Promise<Listed> {
  const all: Listed = { backups: [], vaultErrors: [], code: EXIT.ok };
  const settled = await Promise.allSettled(clusters.map((name) => listBackups(local, name)));
  for (const [at, each] of settled.entries()) {
    if (each.status === 'fulfilled') {
      all.backups.push(...each.value);
      continue;
    }
    const error: unknown = each.reason;
    if (clusters.length === 1 || !(error instanceof DrydockError)) throw error;
    const told = new DrydockError(error.kind, `${clusters[at]!}: ${error.message}`, { ...(error.remedy === undefined ? {} : { remedy: error.remedy }) });
    printFailure(told);
    all.vaultErrors.push({ cluster: clusters[at]!, error: error.message, remedy: error.remedy ?? null });
    if (all.code === EXIT.ok) all.code = exitCodeOf(error.kind, error.details);
  }
  return all;
}

function row(entry: BackupEntry): string[] {
  const { cluster, id, status, sealedAt, warnings, note } = entry;
  const size = (value: number | null): string => (value === null ? '-' : bytes(value));
  const remarks = [note ?? verifiedText(entry), entry.acceptedGaps ? count(entry.acceptedGaps, 'accepted gap') : '', warnings === undefined ? '' : count(warnings, 'warning'), givenUpText(entry)];
  return [cluster, id, status, sealedAt === null ? '-' : ago(sealedAt), String(entry.tags ?? '-'), size(entry.imageBytes), size(entry.storedBytes), remarks.filter((text) => text !== '').join('; ')];
}
