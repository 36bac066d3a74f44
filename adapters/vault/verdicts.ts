/** Verdicts on backups: written once, never changed; they age. */
import { verdictSchema, type Verdict } from '../../domain/verdict';
import { vaultPaths } from '../../domain/vault-format';
import { readAhead } from '../stream/at-once';
import type { EncryptionKeys } from '../openpgp/keys';
import { writeJsonLines } from './json-lines';
import { readSmall } from './small-file';
import type { Vault } from './vault';

/** Of one backup: so many newest verdicts with findings are read, and so many without. One an hour for a year makes fewer; a forged vault may hold a million. */
export const MAX_VERDICTS = 10_000;

const FINDINGS = '.findings.jsonl.gz.gpg';

/** Stores a verdict; its findings, which name repositories, go before it into an encrypted list of their own. */
export async function writeVerdict(vault: Vault, cluster: string, verdict: Verdict, findings: readonly unknown[], keys: EncryptionKeys): Promise<void> {
  if (findings.length > 0) await writeJsonLines(vault, vaultPaths.findings(cluster, verdict.backupId, verdict.at), keys, findings);
  await vault.put(vaultPaths.verdict(cluster, verdict.backupId, verdict.at), `${JSON.stringify(verdictSchema.parse(verdict), null, 2)}\n`);
}

/** All verdicts of a cluster by backup, or of one backup alone; in the order of their times. One that cannot be read says nothing and is passed by. */
export async function readVerdicts(vault: Vault, cluster: string, backupId?: string): Promise<Map<string, Verdict[]>> {
  const found = new Map<string, Verdict[]>();
  for await (const { id, verdict } of eachVerdict(vault, cluster, { backupId, faults: [] })) {
    if (verdict.backupId !== id) continue;
    const own = found.get(id);
    if (own) own.push(verdict);
    else found.set(id, [verdict]);
  }
  return found;
}

export interface VerdictNames {
  id: string;
  names: string[];
  /** How many older ones than the newest `MAX_VERDICTS` of either kind there are. */
  passedBy: number;
}

const READS_AHEAD = 16;

/** Verdicts under the ids in whose place they stand, several read at once. One that cannot be read is left out, with a sentence in `faults`. */
export async function* eachVerdict(vault: Vault, cluster: string, options: { backupId?: string; faults: string[]; onGroup?: (group: VerdictNames) => void }): AsyncGenerator<{ id: string; name: string; verdict: Verdict }> {
  async function* names(): AsyncGenerator<{ id: string; name: string }> {
    for await (const group of verdictNames(vault, cluster, options.backupId)) {
      options.onGroup?.(group);
      for (const name of group.names) yield { id: group.id, name };
    }
  }
  for await (const { verdict, ...place } of readAhead(names(), READS_AHEAD, async (each) => ({ ...each, verdict: await readSmall(vault, each.name, verdictSchema, options.faults) }))) {
    if (verdict !== null) yield { ...place, verdict };
  }
}

/** Names of verdicts in the order of their times, backup by backup. */
export async function* verdictNames(vault: Vault, cluster: string, backupId?: string): AsyncGenerator<VerdictNames> {
  const prefix = vaultPaths.verdicts(cluster);
  let group: NameGroup | undefined;
  // A listing is sorted, so all names of one backup come together.
  for await (const { name } of vault.list(backupId === undefined ? prefix : vaultPaths.verdictsOf(cluster, backupId))) {
    const id = name.slice(prefix.length).split('/', 1)[0]!;
    if (group?.id !== id) {
      if (group?.isAny) yield group.all();
      group = new NameGroup(id);
    }
    group.take(name);
  }
  if (group?.isAny) yield group.all();
}

/** Names of one backup's verdicts. Those with findings are counted apart, so that no number of good ones pushes them out. */
class NameGroup {
  private good: string[] = [];
  private bad: string[] = [];
  private passedBy = 0;
  private findings = '';

  constructor(readonly id: string) {}

  get isAny(): boolean {
    return this.good.length + this.bad.length > 0;
  }

  /** In the order of the names, in which a verdict's findings stand before it. */
  take(name: string): void {
    if (name.endsWith(FINDINGS)) this.findings = name.slice(0, -FINDINGS.length);
    if (!name.endsWith('.json')) return;
    const kind = this.findings === name.slice(0, -'.json'.length) ? this.bad : this.good;
    if (kind.push(name) >= 2 * MAX_VERDICTS) this.trim();
  }

  all(): VerdictNames {
    this.trim();
    return { id: this.id, names: [...this.good, ...this.bad].sort(), passedBy: this.passedBy };
  }

  private trim(): void {
    this.passedBy += Math.max(0, this.good.length - MAX_VERDICTS) + Math.max(0, this.bad.length - MAX_VERDICTS);
    this.good = this.good.slice(-MAX_VERDICTS);
    this.bad = this.bad.slice(-MAX_VERDICTS);
  }
}
