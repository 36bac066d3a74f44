/** From damage to findings: which images it hits, and which backup still holds the content. */
import { digestOf } from '../../adapters/vault/copy-object';
import { readIndexes } from '../../adapters/vault/segment-index';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { backupIdSchema } from '../../domain/contract';
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { imagesWith, type Damage, type Finding } from '../../domain/verify';
import type { Cluster } from '../cluster';
import { readBackup } from '../restore/backup';
import type { Catalogue } from './catalogue';
import { isDamage } from './files';

/** One finding for each image and piece of content; damage without either stands for itself. */
export async function nameFindings(cluster: Cluster, manifest: Manifest, catalogue: Catalogue, damages: Damage[]): Promise<Finding[]> {
  const unnamed = new Set(damages.flatMap(({ digest, image }) => (digest !== undefined && image === undefined ? [digest] : [])));
  const images = unnamed.size === 0 ? new Map<string, string[]>() : imagesWith(unnamed, catalogue.tags, catalogue.follower);
  const digests = new Set(damages.flatMap(({ digest }) => digest ?? []));
  const damaged = new Set(damages.flatMap(({ segment }) => segment ?? []));
  const holders = digests.size === 0 ? new Map<string, string>() : await lastHolders(cluster, manifest, digests, damaged);
  const findings = new Map<string, Finding>();
  for (const { what, digest, segment, file, image } of damages) {
    const named = image === undefined && digest !== undefined ? (images.get(digest) ?? [null]) : [image ?? null];
    for (const each of named) {
      const finding: Finding = {
        image: each,
        digest: digest === undefined ? null : `sha256:${digest}`,
        segment: segment ?? (digest === undefined ? undefined : catalogue.segmentOf(digest)) ?? null,
        file: file ?? null,
        what,
        lastBackup: (digest === undefined ? undefined : holders.get(digest)) ?? null,
      };
      findings.set(`${each} ${digest} ${segment} ${file} ${what}`, finding);
    }
  }
  return [...findings.values()];
}

/** For each digest the newest backup with a sound copy in a segment that is not among the damaged ones. */
async function lastHolders(cluster: Cluster, manifest: Manifest, digests: ReadonlySet<string>, damaged: ReadonlySet<string>): Promise<Map<string, string>> {
  const copies = new Map<string, string[]>();
  for await (const { header, blobs } of readIndexes(cluster.vault, cluster.name, { onDamaged: () => undefined })) {
    if (damaged.has(header.segment)) continue;
    const held = blobs.filter(({ sha256, void: isVoid }) => !isVoid && digests.has(sha256)).map(({ sha256 }) => sha256);
    if (held.length > 0) copies.set(header.segment, held);
  }
  const holders = new Map<string, string>();
  const sound = new Map<string, boolean>();
  for (const id of copies.size === 0 ? [] : await backupIds(cluster, manifest.backupId)) {
    for (const ref of await segmentsIn(cluster, id)) {
      const open = (copies.get(ref.segment) ?? []).filter((digest) => !holders.has(digest));
      if (open.length === 0) continue;
      if (!sound.has(ref.segment)) sound.set(ref.segment, await isSound(cluster, ref));
      if (sound.get(ref.segment)) for (const digest of open) holders.set(digest, id);
    }
  }
  return holders;
}

/** Newest first; the backup that is verified comes last, since its own copy may be the damaged one. */
async function backupIds(cluster: Cluster, verified: string): Promise<string[]> {
  const prefix = vaultPaths.backups(cluster.name);
  const ids: string[] = [];
  for await (const { name } of cluster.vault.list(prefix)) {
    const [id = '', file] = name.slice(prefix.length).split('/');
    if (file === 'manifest.json' && backupIdSchema.safeParse(id).success && id !== verified) ids.push(id);
  }
  return [...ids.sort().reverse(), verified];
}

async function segmentsIn(cluster: Cluster, id: string): Promise<SegmentRef[]> {
  try {
    return await segmentsOf(cluster.vault, (await readBackup(cluster, id)).manifest, cluster.signal);
  } catch (error) {
    // A backup that is itself damaged, or was removed meanwhile, holds nothing that could be relied on.
    if (isDamage(error)) return [];
    throw error;
  }
}

async function isSound(cluster: Cluster, { segment, sha256 }: SegmentRef): Promise<boolean> {
  return (await digestOf(cluster.vault, vaultPaths.segment(cluster.name, segment), cluster.signal)).sha256 === sha256;
}
