/** Verdicts on backups: written once, never changed; they age. */
import { verdictSchema, type Verdict } from '../../domain/verdict';
import { vaultPaths } from '../../domain/vault-format';
import type { EncryptionKeys } from '../openpgp/keys';
import { writeJsonLines } from './json-lines';
import { readSmall } from './small-file';
import type { Vault } from './vault';

/** Of one backup: so many newest verdicts are read. One an hour for a year makes fewer; a forged vault may hold a million. */
export const MAX_VERDICTS = 10_000;

/** Stores a verdict; its findings, which name repositories, go before it into an encrypted list of their own. */
export async function writeVerdict(vault: Vault, cluster: string, verdict: Verdict, findings: readonly unknown[], keys: EncryptionKeys): Promise<void> {
  if (findings.length > 0) await writeJsonLines(vault, vaultPaths.findings(cluster, verdict.backupId, verdict.at), keys, findings);
  await vault.put(vaultPaths.verdict(cluster, verdict.backupId, verdict.at), `${JSON.stringify(verdictSchema.parse(verdict), null, 2)}\n`);
}

/** All verdicts of a cluster by backup, or of one backup alone; in the order of their times. One that cannot be read says nothing and is passed by. */
export async function readVerdicts(vault: Vault, cluster: string, backupId?: string): Promise<Map<string, Verdict[]>> {
  const found = new Map<string, Verdict[]>();
  for await (const { id, names } of verdictNames(vault, cluster, backupId)) {
    const own: Verdict[] = [];
    for (const name of names) {
      const verdict = await readSmall(vault, name, verdictSchema, []);
      if (verdict?.backupId === id) own.push(verdict);
    }
    if (own.length > 0) found.set(id, own);
  }
  return found;
}

/** Names of verdicts in the order of their times, backup by backup; `passedBy`: how many older ones than the newest `MAX_VERDICTS` there are. */
export async function* verdictNames(vault: Vault, cluster: string, backupId?: string): AsyncGenerator<{ id: string; names: string[]; passedBy: number }> {
  const prefix = vaultPaths.verdicts(cluster);
  let group: { id: string; names: string[]; passedBy: number } | undefined;
  // A listing is sorted, so all names of one backup come together.
  for await (const { name } of vault.list(backupId === undefined ? prefix : vaultPaths.verdictsOf(cluster, backupId))) {
    if (!name.endsWith('.json')) continue;
    const id = name.slice(prefix.length).split('/', 1)[0]!;
    if (group?.id !== id) {
      if (group) yield newest(group);
      group = { id, names: [], passedBy: 0 };
    }
    group.names.push(name);
    if (group.names.length >= 2 * MAX_VERDICTS) group = newest(group);
  }
  if (group) yield newest(group);
}

function newest({ id, names, passedBy }: { id: string; names: string[]; passedBy: number }): { id: string; names: string[]; passedBy: number } {
  const older = Math.max(0, names.length - MAX_VERDICTS);
  return { id, names: names.slice(older), passedBy: passedBy + older };
}
