import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { findTags, followImages, type ImageSet } from '../../adapters/extract/images';
import { writeOciLayout } from '../../adapters/extract/oci-layout';
import { Target } from '../../adapters/extract/target';
import { writeMetadata, writeVolume } from '../../adapters/extract/volume';
import type { SealedBackup } from '../../adapters/vault/sealed-backup';
import { EXIT } from '../../domain/contract';
import { showDigest } from '../../domain/digest';
import { DrydockError, noSuch } from '../../domain/errors';
import { withBackup, type BackupChoice } from '../backups';
import { createConsole, type Console } from '../console';
import { bytes, count } from '../format';
import { TransferBar } from '../transfer-bar';

export interface ExtractCommandOptions extends BackupChoice {
  json?: boolean;
  repo?: string;
  blobs?: boolean;
  output: string;
}

/** Takes metadata, or the images of one repository, out of a backup into a new directory. Needs no Temporal. */
export async function run(id: string, options: ExtractCommandOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  if (options.repo !== undefined && options.blobs) throw new DrydockError('InvalidInput', '--repo and --blobs exclude each other', { remedy: 'leave one of them out' });
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    return await withBackup(id, options, (backup) => extract(backup, options, screen, interrupt.signal), interrupt.signal);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    screen.say('interrupted; nothing is left behind');
    return EXIT.interrupted;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

async function extract(backup: SealedBackup, options: ExtractCommandOptions, screen: Console, signal: AbortSignal): Promise<number> {
  const target = await Target.create(options.output);
  try {
    const code = options.repo === undefined ? await extractVolume(backup, options, target, screen, signal) : await extractImages(backup, { ...options, repo: options.repo }, target, screen, signal);
    return code;
  } finally {
    await target.abort();
  }
}

async function extractImages(backup: SealedBackup, options: ExtractCommandOptions & { repo: string }, target: Target, screen: Console, signal: AbortSignal): Promise<number> {
  const { repository, tag } = parseRepo(options.repo);
  const set = await followImages(backup, await findTags(backup, repository, tag), signal);
  for (const { tag: name, why } of set.leftOut) screen.say(`left out ${repository}:${name}: ${why}`);
  if (set.images.length === 0) {
    throw noSuch(`nothing of ${options.repo} is whole in backup ${backup.manifest.backupId}: ${set.leftOut[0]?.why ?? 'it has no tags'}`, { remedy: 'try another backup: `drydock list`' });
  }
  const total = sum(set);
  await refuseTooSmall(options.output, total);
  await withBar(screen, 'extracting', total, (bar) => writeOciLayout(target, backup, set, { signal, onProgress: (done) => bar.update(done) }));
  await target.commit();
  const directory = path.resolve(options.output);
  if (options.json) {
    const tags = set.images.map(({ tag: name, digest, mediaType, bytes: size, platforms }) => ({ name, digest: showDigest(digest), mediaType, bytes: size, platforms }));
    screen.json({ backupId: backup.manifest.backupId, cluster: backup.cluster, directory, repository, tags, leftOut: set.leftOut.map(({ tag: name, digest, why }) => ({ name, digest, why })), blobs: set.blobs.size, bytes: total });
  } else {
    screen.out(`${directory}: ${count(set.images.length, 'tag')} of ${repository}, ${count(set.blobs.size, 'blob')}, ${bytes(total)}`);
    screen.out(`  skopeo copy --all oci:${directory}:${set.images[0]!.tag} docker://REGISTRY/REPOSITORY:TAG`);
    const foreign = set.images.filter(({ foreignAbsent }) => foreignAbsent > 0);
    if (foreign.length > 0) screen.say(`layers that are fetched from elsewhere are not in it: ${foreign.map(({ tag: name }) => name).join(', ')}`);
  }
  return set.leftOut.length > 0 ? EXIT.incomplete : EXIT.ok;
}

async function extractVolume(backup: SealedBackup, options: ExtractCommandOptions, target: Target, screen: Console, signal: AbortSignal): Promise<number> {
  const { manifest } = backup;
  const metadataBytes = manifest.artifacts.metadata.plainBytes;
  // The same content may lie at several paths, so this may be more than the images' own sum.
  const volumeBytes = options.blobs ? await blobBytes(backup) : 0;
  await refuseTooSmall(options.output, metadataBytes + volumeBytes);
  await withBar(screen, 'metadata', metadataBytes, (bar) => writeMetadata(target, backup, { signal, onProgress: (done) => bar.update(done) }));
  if (options.blobs) await withBar(screen, 'volume', volumeBytes, (bar) => writeVolume(target, backup, { signal, onProgress: (done) => bar.update(done) }));
  await target.commit();
  const directory = path.resolve(options.output);
  if (options.json) {
    screen.json({ backupId: manifest.backupId, cluster: backup.cluster, directory, metadataBytes, blobs: options.blobs ? manifest.counts.blobs : 0, bytes: metadataBytes + volumeBytes });
  } else {
    screen.out(`${directory}: metadata.tar (${bytes(metadataBytes)}), manifest.json${options.blobs ? `, volume/ with ${count(manifest.counts.blobs, 'blob')} (${bytes(volumeBytes)})` : ''}`);
    screen.say('metadata.tar holds private keys and password hashes: keep it safe.');
  }
  return EXIT.ok;
}

async function withBar(screen: Console, what: string, total: number, work: (bar: TransferBar) => Promise<void>): Promise<void> {
  const bar = new TransferBar(screen, what, total);
  try {
    await work(bar);
  } finally {
    bar.end();
  }
}

/** `namespace/name` or `namespace/name:tag`. */
export function parseRepo(text: string): { repository: string; tag?: string } {
  const match = /^([^:@\s]+)(?::([^:/@\s]+))?$/.exec(text);
  if (!match) throw new DrydockError('InvalidInput', `--repo: expected namespace/name or namespace/name:tag, got "${text}"`, { remedy: 'see the names with `drydock ls BACKUP`' });
  return { repository: match[1]!, ...(match[2] === undefined ? {} : { tag: match[2] }) };
}

function sum(set: ImageSet): number {
  return [...set.blobs.values()].reduce((total, { size }) => total + size, 0);
}

async function blobBytes(backup: SealedBackup): Promise<number> {
  let total = 0;
  for await (const { size } of backup.blobs()) total += size;
  return total;
}

async function refuseTooSmall(output: string, needed: number): Promise<void> {
  const found = await statfs(path.dirname(path.resolve(output))).catch(() => null);
  const free = found === null ? Infinity : found.bavail * found.bsize;
  if (free < needed) throw new DrydockError('NoSpace', `${path.dirname(path.resolve(output))} has ${bytes(free)} free, ${bytes(needed)} are needed`, { remedy: 'make room, or name a directory on another disk' });
}
