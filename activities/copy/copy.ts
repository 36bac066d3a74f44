/** Fills one vault from another with whole backups, newest first. Everything that is there already stays; every step may be the last. */
import { checkVaultFile, VAULT_FILE_MAX_BYTES } from '../../adapters/vault/vault-file';
import { readForgotten } from '../../adapters/vault/marks';
import { readFullPicture } from '../../adapters/vault/picture';
import { SegmentLists } from '../../adapters/vault/segment-lists';
import { planCopy, type CopiedTo } from '../../domain/copy';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { checkKnown } from '../backup/check';
import type { Cluster } from '../cluster';
import { readBackup } from '../restore/backup';
import type { Progress } from '../restore/progress';
import { isDamage } from '../verify/files';
import { copyBackup, verifyCopy } from './backup';
import { compareBackup } from './compare';
import { Transfer } from './transfer';

export interface CopyRequest {
  /** Only this one. */
  backup?: string;
  by: string;
}

const SHOWN = 200;
const SHOWN_FINDINGS = 100;
const SHOWN_NOTES = 50;

/** Throws Refused when both are one vault or one is another than was used before, NotFound when `backup` is not in the first, and what keeps us from reading one or writing the other. */
export async function copyBackups(from: Cluster, to: Cluster, request: CopyRequest, progress: Progress): Promise<CopiedTo> {
  await from.refuseOtherVault();
  await checkKnown(to);
  await refuseSame(from, to);
  if (request.backup !== undefined) await readBackup(from, request.backup);
  const lists = new SegmentLists(from.cache);
  const source = await readFullPicture(from.vault, from.name, lists, from.signal);
  const target = await readFullPicture(to.vault, to.name, lists, to.signal);
  const forgotten = new Set((await readForgotten(to.vault, to.name, new Set(source.facts.map(({ id }) => id)))).keys());
  const plan = planCopy(source, target, { keep: from.config.keep, only: request.backup, forgotten });
  const transfer = await Transfer.open(from, to, target, progress);
  const needs = new Map([...source.sealed, ...target.sealed].map(({ id, segments }) => [id, segments]));
  const leftOut = [...plan.leftOut, ...plan.forgotten.map((id) => ({ id, why: `it is forgotten in ${to.vaultName}; to have it there again: drydock forget ${id} --undo --vault ${to.vaultName}` }))];
  // What is sealed in both is made whole first: it is what people rely on already.
  const unverified = new Set(target.facts.filter(({ verified, bad }) => !verified && !bad).map(({ id }) => id));
  for (const id of plan.already) {
    if (request.backup !== undefined && request.backup !== id) continue;
    await compareBackup(transfer, id, needs.get(id) ?? []);
    // Left by a run that was killed behind its seal.
    if (unverified.has(id)) await verifyCopy(transfer, id, request.by).catch((error: unknown) => {
      if (!isDamage(error)) throw error;
      return transfer.found({ name: vaultPaths.manifest(to.name, id) }, to.vaultName, error.message, { backupId: id });
    });
  }
  const lacking = transfer.lacking(plan.wanted.map((id) => ({ id, segments: needs.get(id) ?? [] })));
  const { sealed: copied, already } = transfer.tally.begin({ wanted: plan.wanted, lacking, already: plan.already });
  for (const id of plan.wanted) {
    const why = await copyBackup(transfer, id, request.by);
    if (why === null) copied.push(id);
    else leftOut.push({ id, why });
  }
  return {
    vault: to.vaultName,
    copied: copied.slice(0, SHOWN),
    already,
    leftOut: leftOut.slice(0, SHOWN),
    objects: transfer.tally.objects,
    bytes: transfer.tally.bytes,
    findingCount: transfer.findings.length,
    findings: transfer.findings.slice(0, SHOWN_FINDINGS),
    notes: [...new Set([...source.faults.map((fault) => `${from.vaultName}: ${fault}`), ...target.faults.map((fault) => `${to.vaultName}: ${fault}`), ...transfer.notes])].slice(0, SHOWN_NOTES),
  };
}

/** One disk under two names is no copy. */
async function refuseSame(from: Cluster, to: Cluster): Promise<void> {
  const [one, other] = await Promise.all([from, to].map(async ({ vault }) => checkVaultFile(await vault.readAll(vaultPaths.vaultFile, VAULT_FILE_MAX_BYTES), vault.description).id));
  if (from.vaultName !== to.vaultName && one !== other) return;
  throw new DrydockError('Refused', `${from.vaultName} and ${to.vaultName} are one and the same vault (id ${one}): a copy in it would be none`, {
    remedy: 'copy to another place; where one was once made from the other by hand, remove vault.json from the copy, then `drydock vault init NAME --new` for it',
  });
}
