/** Verdicts on backups: written once, never changed; they age. */
import { DrydockError } from '../../domain/errors';
import { verdictSchema, type Verdict } from '../../domain/verdict';
import { vaultPaths } from '../../domain/vault-format';
import type { EncryptionKeys } from '../openpgp/keys';
import { parseBounded } from './bounded-json';
import { writeJsonLines } from './json-lines';
import type { Vault } from './vault';

const VERDICT_MAX_BYTES = 64 * 1024;

/** Stores a verdict; its findings, which name repositories, go before it into an encrypted list of their own. */
export async function writeVerdict(vault: Vault, cluster: string, verdict: Verdict, findings: readonly unknown[], keys: EncryptionKeys): Promise<void> {
  if (findings.length > 0) await writeJsonLines(vault, vaultPaths.findings(cluster, verdict.backupId, verdict.at), keys, findings);
  await vault.put(vaultPaths.verdict(cluster, verdict.backupId, verdict.at), `${JSON.stringify(verdictSchema.parse(verdict), null, 2)}\n`);
}

/** All verdicts of a cluster by backup, or of one backup alone; in the order of their times. One that cannot be read says nothing and is passed by. */
export async function readVerdicts(vault: Vault, cluster: string, backupId?: string): Promise<Map<string, Verdict[]>> {
  const prefix = vaultPaths.verdicts(cluster);
  const found = new Map<string, Verdict[]>();
  for await (const { name } of vault.list(backupId === undefined ? prefix : `${prefix}${backupId}/`)) {
    const [id = '', file = ''] = name.slice(prefix.length).split('/');
    if (!file.endsWith('.json')) continue;
    const verdict = await readVerdict(vault, name);
    if (verdict?.backupId === id) found.set(id, [...(found.get(id) ?? []), verdict]);
  }
  return found;
}

async function readVerdict(vault: Vault, name: string): Promise<Verdict | null> {
  try {
    const parsed = verdictSchema.safeParse(parseBounded(await vault.readAll(name, VERDICT_MAX_BYTES), name));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof DrydockError && !error.retryable) return null;
    throw error;
  }
}
