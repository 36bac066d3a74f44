import { once } from 'node:events';
import { findTags, followImages } from '../../adapters/extract/images';
import { readSizes } from '../../adapters/extract/sizes';
import type { SealedBackup } from '../../adapters/vault/sealed-backup';
import { showDigest } from '../../domain/digest';
import { EXIT } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import type { ImageSizes, RepositorySize } from '../../domain/image-sizes';
import type { TagLine } from '../../domain/manifest';
import { withBackup, type BackupChoice } from '../backups';
import { createConsole, fitted, type Console } from '../console';
import { bytes, count, table, visible } from '../format';
import { parseRepo } from './extract';

export interface LsOptions extends BackupChoice {
  json?: boolean;
  repo?: string;
  platforms?: boolean;
}

/** Up to this many tags, their platforms are looked up unasked: each is a manifest and a configuration to be read. */
const PLATFORMS_UNASKED = 2_000;
const WARNINGS_SHOWN = 20;

/** Repositories, tags, digests, sizes and platforms of a backup. Needs no Temporal. */
export async function run(id: string, options: LsOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  return withBackup(id, options, (backup) => list(backup, options, screen));
}

async function list(backup: SealedBackup, options: LsOptions, screen: Console): Promise<number> {
  const shown = options.repo === undefined ? undefined : parseRepo(options.repo);
  if (shown) await findTags(backup, shown.repository, shown.tag);
  const repositories = await tagsByRepository(backup);
  const sizes = await readSizes(backup, (sentence) => screen.say(sentence));
  repositories.forEach(({ tags }, place) => sizes.claim(place, tags.map(hexOf)));
  const chosen = repositories
    .filter(({ repository }) => shown === undefined || repository === shown.repository)
    .map(({ repository, tags }) => ({ repository, size: sizes.measure(tags.map(hexOf)), tags: tags.filter(({ name }) => shown?.tag === undefined || name === shown.tag) }));
  const tags = chosen.flatMap((each) => each.tags);
  const platforms = shown !== undefined || options.platforms === true || tags.length <= PLATFORMS_UNASKED ? await platformsOf(backup, tags) : null;
  if (platforms === null) screen.say('Platforms are left out: add --platforms, or name a repository with --repo.');
  const warnings = await warningsOf(backup, screen);
  if (options.json) {
    await printJson(backup, chosen, sizes, platforms, warnings);
  } else {
    await printLines(chosen, sizes, platforms);
    sayWarnings(warnings ?? [], screen);
  }
  return EXIT.ok;
}

/** Of the run that made the backup. Null, and said, where they cannot be read: that keeps nobody from the rest. */
async function warningsOf(backup: SealedBackup, screen: Console): Promise<string[] | null> {
  const { warnings } = backup.manifest.counts;
  if (warnings === 0) return [];
  const found: string[] = [];
  try {
    for await (const note of backup.notes()) if (note.kind === 'warning') found.push(note.text);
    return found;
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    screen.say(`The run that made this backup had ${count(warnings, 'warning')}, which cannot be read: ${error.message}.`);
    return null;
  }
}

/** Beside the list, which has a line for each repository and tag. */
function sayWarnings(warnings: readonly string[], screen: Console): void {
  for (const text of warnings.slice(0, WARNINGS_SHOWN)) screen.say(`warning of the run that made this backup: ${text}`);
  if (warnings.length > WARNINGS_SHOWN) screen.say(`and ${count(warnings.length - WARNINGS_SHOWN, 'warning')} more: with --json`);
}

interface Listed {
  repository: string;
  size: RepositorySize;
  tags: TagLine[];
}

/** Repositories and their tags, both in the order of their names. */
async function tagsByRepository(backup: SealedBackup): Promise<{ repository: string; tags: TagLine[] }[]> {
  const found = new Map<string, TagLine[]>();
  for await (const tag of backup.tags()) {
    const known = found.get(tag.repository);
    if (known) known.push(tag);
    else found.set(tag.repository, [tag]);
  }
  const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...found].map(([repository, tags]) => ({ repository, tags: tags.sort((a, b) => byName(a.name, b.name)) })).sort((a, b) => byName(a.repository, b.repository));
}

/** By digest. What is not whole has no platforms that can be known. */
async function platformsOf(backup: SealedBackup, tags: TagLine[]): Promise<Map<string, string[]>> {
  const { images } = await followImages(backup, tags);
  return new Map(images.map(({ digest, platforms }) => [showDigest(digest), platforms]));
}

async function printLines(listed: Listed[], sizes: ImageSizes, platforms: Map<string, string[]> | null): Promise<void> {
  for (const { repository, size, tags } of listed) {
    const visibility = tags[0]?.visibility === undefined ? '' : `, ${tags[0].visibility}`;
    const head = `${visible(repository)}: ${count(tags.length, 'tag')}, ${bytes(size.bytes)} (${bytes(size.exclusiveBytes)} only here, ${bytes(size.sharedBytes)} shared)${visibility}`;
    await write(`${fitted(head, process.stdout)}\n`);
    const rows = tags.map((tag) => [`  ${visible(tag.name)}`, tag.digest, bytes(sizes.bytesOf(hexOf(tag))), [...(platforms?.get(tag.digest) ?? []).map(visible), ...(tag.state === 'whole' ? [] : [NOT_WHOLE[tag.state]])].join(' ')]);
    await write(table(rows).map((line) => `${fitted(line.trimEnd(), process.stdout)}\n`).join(''));
  }
}

const NOT_WHOLE = { inFlight: '(in flight)', gap: '(NOT WHOLE)', acceptedGap: '(not whole, as accepted)' } as const;

/** One object, but a line for each repository, so that it can be read and written as it comes. */
async function printJson(backup: SealedBackup, listed: Listed[], sizes: ImageSizes, platforms: Map<string, string[]> | null, warnings: string[] | null): Promise<void> {
  const { backupId, status, sealedAt } = backup.manifest;
  const head = JSON.stringify({ backupId, cluster: backup.cluster, status, sealedAt, warnings });
  await write(`${head.slice(0, -1)},"repositories":[\n`);
  for (const [at, { repository, size, tags }] of listed.entries()) {
    const line = {
      repository, visibility: tags[0]?.visibility ?? null, bytes: size.bytes, exclusiveBytes: size.exclusiveBytes, sharedBytes: size.sharedBytes, blobs: size.blobs,
      tags: tags.map((tag) => ({ name: tag.name, digest: tag.digest, state: tag.state, bytes: sizes.bytesOf(hexOf(tag)), platforms: platforms === null ? null : (platforms.get(tag.digest) ?? []) })),
    };
    await write(`${JSON.stringify(line)}${at === listed.length - 1 ? '' : ','}\n`);
  }
  await write(']}\n');
}

/** Waits for a slow reader instead of keeping everything in memory. */
async function write(text: string): Promise<void> {
  const { stdout } = process;
  if (stdout.write(text) || stdout.errored || stdout.destroyed) return;
  await once(stdout, 'drain').catch((error: NodeJS.ErrnoException) => {
    // `drydock ls | head`: a reader who left is no failure, as in main.ts.
    if (error.code !== 'EPIPE') throw error;
  });
}

function hexOf({ digest }: TagLine): string {
  return digest.slice(-64);
}
