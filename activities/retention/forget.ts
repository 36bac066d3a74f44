/** Gives one backup up by hand: a mark like that of `prune`, which no policy can lift; the bytes go when the hold is over. */
import { createHash } from 'node:crypto';
import { readForgotten } from '../../adapters/vault/marks';
import { readFullPicture, readPicture, type FullPicture } from '../../adapters/vault/picture';
import { tryManifest } from '../../adapters/vault/read-manifests';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { SegmentLists } from '../../adapters/vault/segment-lists';
import { refuseNewer } from '../../adapters/vault/vault-file';
import { after, toDuration } from '../../domain/duration';
import { DrydockError, noSuch } from '../../domain/errors';
import { gateReason, type ForgetPlan, type ForgottenIn } from '../../domain/forget';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { canonicalJson } from '../../domain/plan';
import type { Tombstone } from '../../domain/tombstone';
import { compactTime, vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import { refuseWrongClock } from './clock';
import { heldElsewhere } from './standing-marks';

const SHOWN_OTHERS = 20;
/** Marks of one backup made in the same second. */
const TRIES = 5;

/** `everywhere`: in the cluster's other vaults as well. Throws NotFound when there is no such sealed backup. */
export async function planForget(cluster: Cluster, { backup, everywhere }: { backup: string; everywhere: boolean }): Promise<ForgetPlan> {
  const { vault, name, signal } = cluster;
  await requireSealed(cluster, backup);
  const picture = await readFullPicture(vault, name, new SegmentLists(cluster.cache), signal);
  const marked = new Set(picture.marks.map(({ id }) => id));
  const manifest = await tryManifest(vault, name, backup);
  const others = picture.facts.filter(({ id }) => id !== backup && !marked.has(id)).sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  const remaining = others.map(({ id, status, verified, bad, drilled }) => `${id}, ${status}, ${bad ? 'damaged' : verified ? 'verified' : 'not verified'}${drilled ? ', drilled' : ''}`);
  const elsewhere = await alsoIn(cluster, backup);
  const gates = elsewhere.flatMap(({ where, gate }) => (everywhere && gate !== null ? [`in ${where} ${gate}`] : []));
  const held = picture.facts.find(({ id }) => id === backup);
  const lines = [
    `## Forget backup ${backup} of ${name}`, '',
    '### What is lost', '',
    ...(manifest !== null && typeof manifest !== 'string' ? lostLines(manifest, await segmentsOf(vault, manifest, signal).catch(unlessDamaged), picture) : [`- it cannot be read: ${manifest ?? 'its manifest has just gone'}`]),
    ...(held ? [`- ${held.bad ? 'a verification found it damaged' : held.verified ? 'it is verified' : 'it is not verified'}${held.drilled ? ', and a drill restored it' : ''}`] : []),
    `- it can be taken back with \`drydock forget ${backup} --undo\` for ${cluster.config.retention.hold}; then \`prune\` removes it`, '',
    '### What remains', '',
    ...(remaining.length === 0 ? ['- no other backup of this cluster'] : remaining.slice(0, SHOWN_OTHERS).map((line) => `- ${line}`)),
    ...(remaining.length > SHOWN_OTHERS ? [`- and ${remaining.length - SHOWN_OTHERS} more`] : []),
    ...elsewhere.map(({ where, gate }) => `- the same backup in ${where}${everywhere ? `, where it is given up as well${gate === null ? '' : ` although ${gate}`}` : `; no copy from there brings it to ${cluster.vaultName} again until this is taken back`}`),
  ];
  return {
    backupId: backup,
    gate: gateReason(backup, picture.facts, marked) ?? gates[0] ?? null,
    details: lines.join('\n'),
    digest: createHash('sha256').update(canonicalJson({ cluster: name, vault: cluster.vaultName, backup, manifest, remaining, elsewhere })).digest('hex'),
  };
}

/** Marks the backup in this vault. Twice is as good as once. Throws Refused when the clocks of worker and vault disagree. */
export async function forgetBackup(cluster: Cluster, step: { operation: string; backup: string; by: string; why: string; approved: boolean }): Promise<ForgottenIn> {
  const { vault, name, vaultName } = cluster;
  const { backup, by, approved } = step;
  if ((await vault.stat(vaultPaths.manifest(name, backup))) === null) return { vault: vaultName, state: 'absent', removableFrom: null };
  await refuseNewer(vault);
  await refuseWrongClock(cluster);
  const now = await vault.clock();
  const hold = toDuration(cluster.config.retention.hold);
  const before = await forgottenMarks(cluster, backup);
  const standing = before.find((mark) => mark.approved || !approved);
  if (standing) return { vault: vaultName, state: 'already', removableFrom: after(standing.since, hold).toISOString() };
  for (let attempt = 0; ; attempt += 1) {
    const at = new Date(now.getTime() + attempt * 1000);
    const tombstone: Tombstone = { format: 1, id: backup, kind: 'backup', at: at.toISOString(), by: step.operation, why: step.why, forgotten: { by, approved } };
    try {
      await vault.put(vaultPaths.tombstone(name, backup, compactTime(at)), `${JSON.stringify(tombstone)}\n`);
      return { vault: vaultName, state: 'marked', removableFrom: after(at, hold).toISOString() };
    } catch (error) {
      // `prune` marked it in the same second; its mark says less than this one.
      if (!(error instanceof DrydockError && error.kind === 'Conflict') || attempt === TRIES) throw error;
    }
  }
}

/**
 * Lifts what `forgetBackup` marked, as long as the backup stands, or a copy can bring it again. Marks of retention stay: it decides about them by itself.
 */
export async function rememberBackup(cluster: Cluster, { backup }: { backup: string }): Promise<ForgottenIn> {
  const { vault, name, vaultName } = cluster;
  const stands = (await vault.stat(vaultPaths.manifest(name, backup))) !== null;
  const marks = (await readForgotten(vault, name, new Set([backup]))).get(backup) ?? [];
  if (!stands && (marks.length === 0 || !(await heldElsewhere(cluster))(backup))) return { vault: vaultName, state: 'absent', removableFrom: null };
  for (const mark of marks) await vault.remove(mark);
  return {
    vault: vaultName, state: marks.length > 0 ? 'lifted' : 'already', removableFrom: null,
    ...(stands ? {} : { note: `It is removed from ${vaultName} already; the next copy brings it there again.` }),
  };
}

function unlessDamaged(error: unknown): null {
  if (error instanceof DrydockError && !error.retryable) return null;
  throw error;
}

async function requireSealed({ vault, name }: Cluster, backup: string): Promise<void> {
  if ((await vault.stat(vaultPaths.manifest(name, backup))) !== null) return;
  throw noSuch(`there is no backup ${backup} of ${name} in ${vault.description}`, { remedy: `choose one of \`drydock list\` (cluster ${name})` });
}

async function forgottenMarks({ vault, name, signal }: Cluster, backup: string): Promise<{ name: string; since: Date; approved: boolean }[]> {
  const { marks, facts } = await readPicture(vault, name, signal);
  const approved = facts.find(({ id }) => id === backup)?.forgotten?.approved ?? false;
  return marks.filter(({ id, isForgotten }) => id === backup && isForgotten).map((mark) => ({ name: mark.name, since: mark.since, approved }));
}

/** `segments`: null where their list cannot be read. */
function lostLines({ backupId, startedAt, status, counts, bytes }: Manifest, segments: SegmentRef[] | null, picture: FullPicture): string[] {
  const others = new Set<string>();
  for (const { id, segments: used } of picture.sealed) if (id !== backupId) for (const segment of used) others.add(segment);
  const own = segments?.filter(({ segment }) => !others.has(segment)) ?? [];
  return [
    `- ${status}, begun ${startedAt}: ${counts.repositories} repositories, ${counts.tags} tags, ${(bytes.images / 2 ** 20).toFixed(1)} MiB of images`,
    segments === null ? `- which of its ${counts.segments} segments no other backup needs cannot be told: their list cannot be read` : `- ${own.length} of its ${segments.length} segments (${(own.reduce((sum, { bytes: size }) => sum + size, 0) / 2 ** 20).toFixed(1)} MiB) are needed by no other backup and go after it`,
  ];
}

/** Vaults that hold it as well, and what would speak for a gate there. One that cannot be reached is named as that. */
async function alsoIn(cluster: Cluster, backup: string): Promise<{ where: string; gate: string | null }[]> {
  const found: { where: string; gate: string | null }[] = [];
  for (const { name, vault } of cluster.otherVaults()) {
    try {
      if ((await vault.stat(vaultPaths.manifest(cluster.name, backup))) === null) continue;
      const { facts, marks } = await readPicture(vault, cluster.name, cluster.signal);
      found.push({ where: name, gate: gateReason(backup, facts, new Set(marks.map(({ id }) => id))) });
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
      if (error.kind !== 'NotFound') found.push({ where: `${name} (which cannot be reached now, so perhaps)`, gate: null });
    }
  }
  return found;
}
