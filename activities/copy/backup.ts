/** One backup into the other vault: segments with their session keys and indexes, artifacts, checksums, signature and, last and once, the manifest. */
import { parseBounded } from '../../adapters/vault/bounded-json';
import { hasDigest } from '../../adapters/vault/copy-object';
import { isConflict } from '../../adapters/vault/probe';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { parseKeysName } from '../../adapters/vault/wrapped-files';
import { DrydockError } from '../../domain/errors';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { tombstoneSchema } from '../../domain/tombstone';
import { vaultPaths } from '../../domain/vault-format';
import { lockUsed } from '../backup/lock-used';
import { readBackup, type SealedBackup } from '../restore/backup';
import { isDamage } from '../verify/files';
import { verifyBackup } from '../verify/verify';
import { artifactRecords, besideRecords, sealedRecords, segmentRecords, type SealedRecord } from './records';
import { liftMarks, namesUnder, Vanished, type Transfer } from './transfer';

/** A distant vault is kept busy while another segment is being read back. */
const SEGMENTS_AT_ONCE = 3;
const OVERHEAD_BYTES = 1 << 20;
const TOMBSTONE_MAX_BYTES = 64 * 1024;

/** Null when it is sealed there now; else one sentence why it is not. */
export async function copyBackup(transfer: Transfer, id: string, by: string): Promise<string | null> {
  try {
    const sealed = await readOrFind(transfer, id);
    if (sealed === null) return 'its manifest cannot be read; the findings say why';
    const before = transfer.findings.length;
    const segments = await segmentsOrFind(transfer, sealed.manifest);
    if (segments === null) return 'its list of segments cannot be read; the findings say why';
    await refuseWithoutRoom(transfer, sealed.manifest, segments);
    const isWhole = (await bringSegments(transfer, id, segments)) && (await bringFolder(transfer, sealed.manifest));
    if (!isWhole) return `${transfer.findings.length - before} of its files are damaged or gone; the findings name them`;
    if (await isMarked(transfer, id)) return `it was given up in ${transfer.from.vaultName} while it was copied`;
    await seal(transfer, sealed, segments);
    await carryForgotten(transfer, id);
    await verifyCopy(transfer, id, by);
    transfer.tally.backupDone();
    return null;
  } catch (error) {
    if (error instanceof Vanished || (isNotFound(error) && !(await transfer.isSealedHere(id)))) return `it went from ${transfer.from.vaultName} while it was copied`;
    throw error;
  }
}

/** Null, with a finding, for a manifest that is damaged or that this version does not know: the backups behind it go on. */
async function readOrFind(transfer: Transfer, id: string): Promise<SealedBackup | null> {
  try {
    return await readBackup(transfer.from, id);
  } catch (error) {
    if (!isDamage(error)) throw error;
    if (!(await transfer.isSealedHere(id))) throw new Vanished();
    await transfer.found({ name: vaultPaths.manifest(transfer.from.name, id) }, transfer.from.vaultName, error.message, { backupId: id });
    return null;
  }
}

/** Null, with a finding, where it is damaged or gone. */
async function segmentsOrFind(transfer: Transfer, manifest: Manifest): Promise<SegmentRef[] | null> {
  const { from } = transfer;
  try {
    return await segmentsOf(from.vault, manifest, from.signal);
  } catch (error) {
    if (!isDamage(error)) throw error;
    if (!(await transfer.isSealedHere(manifest.backupId))) throw new Vanished();
    const { name, bytes, sha256 } = manifest.artifacts.segments;
    await transfer.found({ name, bytes, sha256 }, from.vaultName, error.message, { backupId: manifest.backupId });
    return null;
  }
}

async function refuseWithoutRoom({ from, to, there }: Transfer, manifest: Manifest, segments: readonly SegmentRef[]): Promise<void> {
  const free = await to.vault.freeBytes();
  if (free === null) return;
  const lacking = [...sealedRecords(from.name, manifest, segments).values()].filter(({ name }) => !there.has(name)).reduce((sum, { bytes }) => sum + bytes, OVERHEAD_BYTES);
  if (free >= lacking) return;
  throw new DrydockError('NoSpace', `the vault (${to.vault.description}) has ${free} bytes left, the copy of backup ${manifest.backupId} needs ${lacking}`, { remedy: 'make room there, or move that vault to a larger disk' });
}

/** All that can be brought is brought, so that one damaged segment does not hold up the rest. */
async function bringSegments(transfer: Transfer, backupId: string, segments: readonly SegmentRef[]): Promise<boolean> {
  const open = [...segments];
  let isWhole = true;
  const lane = async (): Promise<void> => {
    for (let ref = open.shift(); ref; ref = open.shift()) {
      transfer.to.signal?.throwIfAborted();
      if (!(await bringSegment(transfer, backupId, ref))) isWhole = false;
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: SEGMENTS_AT_ONCE }, () => lane().finally(() => open.splice(0))));
  for (const each of lanes) if (each.status === 'rejected') throw each.reason;
  return isWhole;
}

/** The index comes last, after the segment was read back: a segment that has one there needs no second look. */
async function bringSegment(transfer: Transfer, backupId: string, ref: SegmentRef): Promise<boolean> {
  const { from, to, here, there, relied } = transfer;
  const of = { backupId, segment: ref.segment };
  const records = segmentRecords(from.name, ref);
  const index = records.at(-1)!;
  const added = transfer.namesOf(backupId, [ref.segment]).filter((name) => parseKeysName(name) !== null && name.startsWith(`${vaultPaths.segments(from.name)}${ref.segment}.`) && !records.some((record) => record.name === name)).map((name) => ({ name }));
  if (there.has(index.name)) {
    const wrong = records.filter(({ name, bytes }) => there.has(name) && there.get(name) !== bytes);
    if (wrong.length > 0 && relied.has(ref.segment)) {
      for (const record of wrong) await transfer.found(record, to.vaultName, `${record.name} has ${there.get(record.name)} bytes instead of ${record.bytes}`, of);
      return false;
    }
    // Nothing sealed relies on it, and without an index it counts for nothing while it is brought anew.
    if (wrong.length > 0) {
      await to.vault.remove(index.name);
      there.delete(index.name);
    }
  }
  for (const record of records) if (parseKeysName(record.name) !== null && there.has(record.name)) await replaceKeys(transfer, record);
  await liftMarks(to, ref.segment);
  const lacking = there.has(index.name) ? records.filter(({ name }) => !there.has(name)) : records;
  for (const record of lacking) if (!(await transfer.bring(record, of))) return false;
  for (const record of added) if (here.has(record.name) && !there.has(record.name)) await transfer.bring(record, of);
  return true;
}

/** Session keys that were damaged and wrapped anew in the first vault have other bytes than the copy of the damaged ones. */
async function replaceKeys({ from, to, there }: Transfer, record: SealedRecord): Promise<void> {
  if (await hasDigest(to.vault, record, to.signal)) return;
  if (!(await hasDigest(from.vault, record, from.signal))) return;
  await to.vault.remove(record.name);
  there.delete(record.name);
}

/** Artifacts, session keys added to them, `RESTORE.md`, `SHA256SUMS` and the signature. */
async function bringFolder(transfer: Transfer, manifest: Manifest): Promise<boolean> {
  const { from, here } = transfer;
  const of = { backupId: manifest.backupId };
  const added = transfer.namesOf(manifest.backupId, []).filter((name) => parseKeysName(name) !== null).map((name) => ({ name }));
  const signature = vaultPaths.signature(from.name, manifest.backupId);
  let isWhole = true;
  for (const record of [...artifactRecords(manifest), ...added, ...besideRecords(from.name, manifest), ...(here.has(signature) ? [{ name: signature }] : [])]) if (!(await transfer.bring(record, of))) isWhole = false;
  return isWhole;
}

async function isMarked({ from }: Transfer, id: string): Promise<boolean> {
  return (await namesUnder(from.vault, `${vaultPaths.tombstones(from.name)}${id}.`)).length > 0;
}

/** A last look before the manifest says that all of this exists there. */
async function seal({ from, to, tally }: Transfer, { manifest, content }: SealedBackup, segments: readonly SegmentRef[]): Promise<void> {
  const there = new Map<string, number>();
  for (const prefix of [vaultPaths.segments(to.name), `${vaultPaths.backup(to.name, manifest.backupId)}/`]) {
    for await (const entry of to.vault.list(prefix)) there.set(entry.name, entry.size);
  }
  for (const { name, bytes } of sealedRecords(from.name, manifest, segments).values()) {
    if (there.get(name) !== bytes) throw new DrydockError('VaultUnavailable', `${name} went from ${to.vault.description} while backup ${manifest.backupId} was copied`, { remedy: 'find out who removes files there; the next run brings it again' });
  }
  for (const { segment } of segments) await liftMarks(to, segment);
  await liftMarks(to, manifest.backupId);
  await lockUsed(to, manifest, segments, to.signal ?? new AbortController().signal);
  const name = vaultPaths.manifest(to.name, manifest.backupId);
  try {
    await to.vault.put(name, content);
    tally.moved(content.length);
  } catch (error) {
    if (!isConflict(error)) throw error;
    // Sealed by another copy meanwhile; under one id stands one manifest.
    if ((await to.vault.readAll(name, content.length + 1)).equals(content)) return;
    throw new DrydockError('IntegrityMismatch', `${to.vault.description} holds another manifest under the id ${manifest.backupId}`, { remedy: 'find out which of the two vaults was changed by hand', cause: error });
  }
}

/** A person who forgot it in `from` while it was being sealed in `to` was not told of it there; taking the mark back is theirs as well. */
async function carryForgotten({ from, to }: Transfer, id: string): Promise<void> {
  for (const name of await namesUnder(from.vault, `${vaultPaths.tombstones(from.name)}${id}.`)) {
    const content = await from.vault.readAll(name, TOMBSTONE_MAX_BYTES).catch((error: unknown) => {
      if (isDamage(error)) return null;
      throw error;
    });
    if (content === null || !isForgotten(content, name)) continue;
    await to.vault.put(name, content).catch((error: unknown) => {
      if (!isConflict(error)) throw error;
    });
  }
}

function isForgotten(tombstone: Buffer, name: string): boolean {
  try {
    return tombstoneSchema.parse(parseBounded(tombstone, name)).forgotten !== undefined;
  } catch {
    // One that cannot be read removes nothing, and says nothing here either.
    return false;
  }
}

/** L0 of what lies in `to` now, with a verdict there: only then the copy counts as verified. */
export async function verifyCopy(transfer: Transfer, id: string, by: string): Promise<void> {
  const { to, progress } = transfer;
  const { findings, result } = await verifyBackup(to, { backup: id, level: 'L0', withoutKeys: true, by }, progress);
  if (result === 'good') return;
  for (const { segment, file, what } of findings) transfer.findings.push({ backupId: id, segment, file: file ?? vaultPaths.manifest(to.name, id), vault: to.vaultName, what, intactIn: null });
}

function isNotFound(error: unknown): boolean {
  return error instanceof DrydockError && error.kind === 'NotFound';
}
