/** Plans and proves as the activities do, on the lists in the folder that is given, and prints time and memory. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { planFirstPass } from '../activities/backup/copy-images';
import { prove } from '../activities/backup/prove';
import { StoredBlobs } from '../activities/backup/stored';
import type { Cluster } from '../activities/cluster';
import type { BackupFacts, MetadataTaken, Proof } from '../activities/contract';
import { openDirectoryVault } from '../adapters/vault/directory';
import { CLUSTER } from './million-data';

async function main(folder: string): Promise<void> {
  const start = performance.now();
  const vault = openDirectoryVault(path.join(folder, 'vault'));
  const planned = await plan();
  if (planned !== 0) throw new Error(`${planned} blobs would be moved, although all are stored`);
  const planSeconds = (performance.now() - start) / 1000;
  const keys = { passphrases: ['bench'], publicKeys: [], privateKeys: [], recipients: ['passphrase'] };
  const cluster = {
    name: CLUSTER, vault, encryptionKeys: () => Promise.resolve(keys), decryptionKeys: () => Promise.resolve(keys), 
    workDir: () => Promise.resolve(folder), dtr: () => Promise.resolve({}),
  } as unknown as Cluster;
  const step = {
    cluster: CLUSTER, operation: 'million', backupId: 'work',
    facts: { version: '2.9.4', volume: {} } as BackupFacts,
    metadata: { online: true, documents: 1, dumpStartedAt: '2026-11-23T02:00:00Z' } as MetadataTaken,
  };
  const proof = await new MockActivityEnvironment().run<[], Proof, () => Promise<Proof>>(() => prove(cluster, step, new AbortController().signal));
  if (proof.counts.gaps > 0) throw new Error(`${proof.counts.gaps} gaps, although all is stored`);
  const seconds = (performance.now() - start) / 1000;
  const round = (value: number): number => Math.round(value * 10) / 10;
  process.stdout.write(JSON.stringify({ seconds: round(seconds), memoryMiB: Math.round(process.resourceUsage().maxRSS / 1024), planSeconds: round(planSeconds), proveSeconds: round(seconds - planSeconds) }));

  async function plan(): Promise<number> {
    const stored = await StoredBlobs.load(vault, CLUSTER);
    const listing = (await readFile(path.join(folder, 'work', 'listing.jsonl'), 'utf8')).trim().split('\n').map((line) => ({ ...(JSON.parse(line) as { path: string; size: number }), mtimeMs: 0 }));
    return planFirstPass(listing, stored).length;
  }
}

main(process.argv[2] ?? '').catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
