/** `drydock vault init | check | stats`: looks at vaults as such. Needs no Temporal. */
import { auditVault, type Audit, type Leftover } from '../../adapters/vault/audit';
import { findOther, knownId, refuseOther, remember, type NamedVault } from '../../adapters/vault/known-vaults';
import { openVault } from '../../adapters/vault/open';
import { vaultStats, type VaultStats } from '../../adapters/vault/stats';
import { checkVaultFile, refuseNewer, VAULT_FILE_MAX_BYTES } from '../../adapters/vault/vault-file';
import type { Vault } from '../../adapters/vault/vault';
import { EXIT } from '../../domain/contract';
import { DrydockError, noVault } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { ClusterStats } from '../../domain/vault-stats';
import { createConsole, type Console } from '../console';
import { exitCodeOf } from '../../domain/exit-codes';
import { printFailure } from '../failures';
import { bytes, count, seconds, table, time } from '../format';
import { requiredConfig, type LoadedConfig } from '../session';
import { vaultNamed } from '../vaults';

export interface VaultOptions {
  config?: string;
  json?: boolean;
}

export interface InitOptions extends VaultOptions {
  new?: boolean;
}

const SHOWN = 50;
/** Of one kind of leftover, on screen. */
const SHOWN_LEFTOVERS = 5;

/**
 * Makes `vault.json` where there is none, tries the vault out, and keeps its id under stateDir. Twice is as good as once. Where another vault was used under this name, it is
 * refused; with `new` the one that is there (or is made now) takes its place.
 */
export async function init(name: string | undefined, options: InitOptions): Promise<number> {
  const isTaken = options.new ?? false;
  if (isTaken && name === undefined) throw new DrydockError('InvalidInput', 'vault init --new: it is not said which vault is a new one', { remedy: 'name it: drydock vault init NAME --new' });
  return each(name, options, async (named, screen) => {
    const { vault, name: vaultName } = named;
    if (!isTaken) await refuseOther(named);
    const before = await knownId(named).catch(() => null);
    const isNew = (await vault.stat(vaultPaths.vaultFile).catch(notYet)) === null;
    await vault.check();
    const { id, created, format } = await vaultFile(vault);
    await remember(named, id);
    const [freeBytes, clockSeconds] = [await vault.freeBytes(), await clockDifference(vault)];
    screen.out(`${vaultName} (${vault.description}) is ${isNew ? 'a vault now' : 'a vault already'}: id ${id}, format ${format}, made ${time(created)}.`);
    const replaced = before === id ? null : before;
    if (replaced !== null) screen.out(`  It takes the place of the vault with the id ${replaced}, which was used here before.`);
    screen.out(`  A probe was written once, read back, refused a second time and removed. ${freeBytes === null ? 'Free space is not known' : `${bytes(freeBytes)} are free`}; its clock differs by ${clockSeconds} s.`);
    return { result: { vault: vaultName, place: vault.description, id, created, format, isNew, replaced, freeBytes, clockSeconds }, code: EXIT.ok };
  });
}

/** Tries the vault out, and accounts for every name in it. Ends with 6 when there are findings. */
export async function check(name: string | undefined, options: VaultOptions): Promise<number> {
  return each(name, options, async (named, screen) => {
    const { vault, name: vaultName } = named;
    const other = await findOther(named);
    if (other) throw other;
    await refuseNone(vault, vaultName);
    await vault.check();
    const { id } = await vaultFile(vault);
    const audit = await auditVault(vault);
    printAudit(vaultName, vault, audit, screen);
    return { result: { vault: vaultName, place: vault.description, id, ...audit }, code: audit.findings.length > 0 ? EXIT.findings : EXIT.ok };
  });
}

/** What the clusters in a vault take up: of one vault, of one cluster in its vault and copies, or of all. */
export async function stats(target: string | undefined, options: VaultOptions): Promise<number> {
  const local = await requiredConfig(options.config);
  const cluster = target !== undefined && !Object.hasOwn(local.config.vaults, target) && Object.hasOwn(local.config.clusters, target) ? target : undefined;
  const { vault: own, copies } = cluster === undefined ? { vault: target, copies: [] } : local.config.clusters[cluster]!;
  const names = own === undefined ? undefined : [own, ...copies];
  return each(names, options, async ({ vault, name: vaultName }, screen) => {
    await refuseNone(vault, vaultName);
    await refuseNewer(vault);
    const found = await vaultStats(vault, cluster);
    printStats(vaultName, vault, found, screen);
    return { result: { vault: vaultName, place: vault.description, ...found }, code: EXIT.ok };
  });
}

type Work = (named: NamedVault, screen: Console) => Promise<{ result: unknown; code: number }>;

/**
 * The named vault, or all; with `--json` one object `{"vaults":[...]}`. The highest exit code counts. Of several, one that cannot be looked at is said
 * and does not keep the others from being looked at.
 */
async function each(asked: string | string[] | undefined, options: VaultOptions, work: Work): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await requiredConfig(options.config);
  const names = asked === undefined ? Object.keys(local.config.vaults) : [asked].flat();
  const results: unknown[] = [];
  let worst: number = EXIT.ok;
  for (const name of names) {
    const { result, code } = await withNamed(local, name, (named) => work(named, screen)).catch((error: unknown) => {
      if (names.length === 1 || !(error instanceof DrydockError)) throw error;
      printFailure(error);
      return { result: { vault: name, error: error.message, remedy: error.remedy }, code: exitCodeOf(error.kind, error.details) };
    });
    results.push(result);
    worst = Math.max(worst, code);
  }
  if (options.json) screen.json({ vaults: results });
  return worst;
}

async function withNamed<T>(local: LoadedConfig, name: string, look: (named: NamedVault) => Promise<T>): Promise<T> {
  const vault = openVault(vaultNamed(local, name));
  try {
    return await look({ vault, name, stateDir: local.config.stateDir });
  } finally {
    await vault.close();
  }
}

async function vaultFile(vault: Vault): Promise<{ id: string; created: string; format: number }> {
  return checkVaultFile(await vault.readAll(vaultPaths.vaultFile, VAULT_FILE_MAX_BYTES), vault.description);
}

/** A look must not make a vault where a mount is missing. */
async function refuseNone(vault: Vault, name: string): Promise<void> {
  if ((await vault.stat(vaultPaths.vaultFile).catch(notYet)) !== null) return;
  throw noVault(`${name} (${vault.description}) is no vault: it has no vault.json`, { remedy: `if it held backups before, look at its mount; else make one with \`drydock vault init ${name}\`` });
}

function notYet(error: unknown): null {
  if (error instanceof DrydockError && error.kind === 'NotFound') return null;
  throw error;
}

async function clockDifference(vault: Vault): Promise<number> {
  return Math.round(((await vault.clock()).getTime() - Date.now()) / 1000);
}

function printAudit(name: string, vault: Vault, { names, bytes: size, clusters, findings, leftovers }: Audit, screen: Console): void {
  screen.out(`${name} (${vault.description}): ${count(names, 'name')}, ${bytes(size)}; ${Object.entries(clusters).map(([cluster, backups]) => `${cluster} has ${count(backups, 'backup')}`).join(', ') || 'no backups'}.`);
  for (const { name: file, what } of findings.slice(0, SHOWN)) screen.out(`  FINDING ${file}: ${what}`);
  if (findings.length > SHOWN) screen.out(`  and ${findings.length - SHOWN} more: with --json`);
  const kinds = new Map<string, Leftover[]>();
  for (const left of leftovers) kinds.set(left.what, [...(kinds.get(left.what) ?? []), left]);
  for (const [what, of] of kinds) {
    screen.out(`  ${count(of.length, 'file')}, ${bytes(of.reduce((sum, left) => sum + left.bytes, 0))}: ${what}`);
    for (const left of of.slice(0, SHOWN_LEFTOVERS)) screen.out(`    ${left.name} (${bytes(left.bytes)}, ${seconds(left.ageSeconds)} old)`);
    if (of.length > SHOWN_LEFTOVERS) screen.out(`    and ${of.length - SHOWN_LEFTOVERS} more`);
  }
  if (findings.length === 0) screen.out('  Every name is accounted for, and all that sealed backups need is there. Content is for `drydock verify`.');
}

function printStats(name: string, vault: Vault, { names, bytes: size, clusters }: VaultStats, screen: Console): void {
  screen.out(`${name} (${vault.description}): ${count(names, 'name')}, ${bytes(size)}.`);
  for (const cluster of clusters) for (const line of clusterLines(cluster)) screen.out(line);
}

function clusterLines({ cluster, backups, oldest, newest, bytes: size, imageBytes, dedupRatio, growth, exclusive }: ClusterStats): string[] {
  const { live, dead, tombstoned } = size.segments;
  const rows = [
    ['  backups', `${backups.complete} complete, ${backups.incomplete} incomplete${backups.unreadable > 0 ? `, ${backups.unreadable} that cannot be read` : ''}${oldest === null || newest === null ? '' : `; ${time(oldest)} to ${time(newest)}`}`],
    ['  segments', `${bytes(live)} in use, ${bytes(dead)} that no backup names, ${bytes(tombstoned)} marked for removal`],
    ['  besides', `${bytes(size.metadata)} metadata and link trees, ${bytes(size.lists)} lists, ${bytes(size.other)} other`],
    ['  images', `${bytes(imageBytes)} in all backups together${dedupRatio === null ? '' : `: ${dedupRatio.toFixed(1)} times what is stored`}`],
    ...(growth === null ? [] : [['  growth', `${bytes(growth.perBackup)} a backup, ${bytes(growth.perDay)} a day`]]),
  ];
  const shown = exclusive.slice(0, SHOWN).map(({ id, bytes: own }) => [`    ${id}`, bytes(own)]);
  return [`${cluster}:`, ...table(rows), ...(shown.length === 0 ? [] : ['  needed by one backup alone:', ...table(shown)]), ...(exclusive.length > SHOWN ? [`    and ${exclusive.length - SHOWN} more: with --json`] : [])];
}
