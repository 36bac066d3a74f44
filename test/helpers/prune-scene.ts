/** A vault with small backups that were made long ago, for tests of what `prune` does with them. */
import { createHash } from 'node:crypto';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { createActivities } from '../../activities';
import { formatIndex } from '../../adapters/vault/segment-index';
import type { Config } from '../../domain/config';
import type { PruneResult } from '../../domain/prune-result';
import { vaultPaths } from '../../domain/vault-format';
import { activityEnvironment } from './backup-run';
import { scratchVault } from './vault';

export const DAY = 86_400_000;
export const BLOB = 'docker/registry/v2/blobs/sha256/ab/' + 'ab'.repeat(32) + '/data';

export type PruneScene = Awaited<ReturnType<typeof pruneScene>>;

export async function pruneScene() {
  const here = await scratchVault();
  const id = (day: number): string => `202611${String(day).padStart(2, '0')}T020000Z-00000${day % 10}`;
  const segment = (day: number): string => `${id(day)}aaaaaa`;

  /** Run as the worker would, under a `keep` of the newest one and a hold of a week. */
  function prune(more: { dryRun?: boolean } = {}): Promise<PruneResult> {
    const { prune: activity } = createActivities({ config: config(), configPath: 'drydock.yaml', namespace: 'default', client: undefined as never, refuseWithoutLock: () => Promise.resolve() });
    return activityEnvironment().run(activity as (input: unknown) => Promise<PruneResult>, { cluster: 'lab', operation: 'prune_test', dryRun: more.dryRun ?? false });
  }

  function config(): Config {
    return {
      stateDir: here.path, vaults: { v: { directory: here.directory } },
      clusters: { lab: { vault: 'v', copies: [], keep: { last: 1 }, retention: { hold: '7d' }, encryption: {}, hosts: {} } },
    } as unknown as Config;
  }

  /** What is only put there counts as written long ago. */
  async function put(name: string, content: string, daysAgo = 30): Promise<void> {
    await here.vault.put(name, content);
    await age(name, daysAgo);
  }

  async function age(name: string, days: number): Promise<void> {
    const time = new Date(Date.now() - days * DAY);
    await utimes(join(here.directory, name), time, time);
  }

  async function putSegment(name: string): Promise<void> {
    await put(vaultPaths.segment('lab', name), 'ciphertext');
    await put(vaultPaths.segmentIndex('lab', name), formatIndex({
      header: { format: 1, segment: name, writtenBy: 'a test', bytes: 10, sha256: 'c'.repeat(64), recipients: [], blobs: 1, plainBytes: 10 },
      blobs: [{ path: BLOB, size: 3, sha256: 'ab'.repeat(32), offset: 512 }],
    }));
  }

  async function putBackup(day: number, segments: string[], verified = true): Promise<void> {
    const startedAt = `2026-11-${String(day).padStart(2, '0')}T02:00:00.000Z`;
    await put(`${vaultPaths.backup('lab', id(day))}/RESTORE.md`, 'guide');
    await putManifest(id(day), startedAt, segments);
    if (!verified) return;
    await put(vaultPaths.verdict('lab', id(day), startedAt), JSON.stringify({
      format: 1, backupId: id(day), level: 'L2', startedAt, at: startedAt, by: 'a test', tool: { name: 'drydock', version: '0' }, withKeys: true, result: 'good', checked: { segments: 1, blobs: 1, bytes: 1, tags: 1 }, findings: 0,
    }));
  }

  /** As much of a manifest as retention reads, and its list of segments. */
  async function putManifest(backup: string, startedAt: string, segments: string[]): Promise<void> {
    const list = vaultPaths.artifact('lab', backup, 'segments.jsonl');
    const content = segments.map((segment) => `${JSON.stringify({ segment })}\n`).join('');
    await put(list, content);
    const record = { name: list, bytes: Buffer.byteLength(content), sha256: createHash('sha256').update(content).digest('hex'), needed: true };
    await put(vaultPaths.manifest('lab', backup), JSON.stringify({ format: 1, backupId: backup, status: 'complete', startedAt, artifacts: { segments: record } }));
  }

  async function names(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of here.vault.list(prefix)) found.push(name.slice(prefix.length));
    return found;
  }

  /** As if the marks had been made so many days ago. */
  async function ageMarks(days: number): Promise<void> {
    for (const name of await names(vaultPaths.tombstones('lab'))) {
      const full = vaultPaths.tombstones('lab') + name;
      const tombstone = JSON.parse((await here.vault.readAll(full, 65536)).toString()) as { at: string };
      await here.vault.remove(full);
      await put(full, JSON.stringify({ ...tombstone, at: new Date(Date.now() - days * DAY).toISOString() }), days);
    }
  }

  return { here, id, segment, config, prune, put, age, putSegment, putBackup, putManifest, names, ageMarks };
}
