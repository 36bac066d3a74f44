/** A backup that is sealed in both vaults: what one lacks, and which of two is right where they differ. */
import { hasDigest } from '../../adapters/vault/copy-object';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { vaultPaths } from '../../domain/vault-format';
import { readBackup } from '../restore/backup';
import { isDamage } from '../verify/files';
import { sealedRecords } from './records';
import { Vanished, type Transfer } from './transfer';

/**
 * Compares names and sizes only, so that a run over years of backups stays short. What the copy lacks is brought over again; what is damaged there is
 * named and left for people; what the first vault lacks is named, with the word that the copy holds it.
 */
export async function compareBackup(transfer: Transfer, id: string, segments: readonly string[]): Promise<void> {
  const { from, to, here, there } = transfer;
  const wanted = segments.flatMap((segment) => [vaultPaths.segment(from.name, segment), vaultPaths.segmentIndex(from.name, segment)]);
  const names = new Set([...transfer.namesOf(id, segments), ...wanted, ...transfer.namesOf(id, [], 'there')]);
  const differing = [...names].filter((name) => here.get(name) !== there.get(name));
  if (differing.length === 0) return;
  const sealed = await readBackup(to, id).catch((error: unknown) => {
    if (isDamage(error)) return null;
    throw error;
  });
  if (!sealed) return;
  const records = sealedRecords(from.name, sealed.manifest, (await segmentsOf(to.vault, sealed.manifest, to.signal).catch(unlessDamaged)) ?? []);
  for (const name of differing) {
    to.signal?.throwIfAborted();
    const segment = segments.find((each) => name.startsWith(`${vaultPaths.segments(from.name)}${each}.`));
    const of = { backupId: id, ...(segment === undefined ? {} : { segment }) };
    const record = records.get(name);
    if (!there.has(name)) {
      if (await transfer.bring(record ?? { name }, of).catch(goneMeanwhile)) transfer.notes.push(`${name} was gone from ${to.vaultName} and is there again.`);
      continue;
    }
    if (name === vaultPaths.manifest(from.name, id)) await transfer.found({ name }, to.vaultName, `${from.vaultName} and ${to.vaultName} hold two different manifests under one id`, of);
    if (record === undefined) continue;
    if (here.get(name) !== record.bytes) await transfer.found(record, from.vaultName, here.has(name) ? `${name} has ${here.get(name)} bytes instead of ${record.bytes}` : `${name} is gone`, of);
    if (there.get(name) !== record.bytes && !(await hasDigest(to.vault, record, to.signal))) await transfer.found(record, to.vaultName, `${name} has ${there.get(name)} bytes instead of ${record.bytes}`, of);
  }
}

/** Its list is among the names that are compared. */
function unlessDamaged(error: unknown): null {
  if (isDamage(error)) return null;
  throw error;
}

function goneMeanwhile(error: unknown): false {
  if (error instanceof Vanished) return false;
  throw error;
}
