/**
 * What a backup does with the lists of a very large registry of which all is stored: both image passes, proof and seal, by the very activities, on the lists in the
 * folder that is given. In: reading the indexes, listing, planning, rows, links of tags, proof, encrypted lists, manifest. Not in: the host's own `find` and `tar`
 * (their output comes from files), the vendor's metadata archive, moving blobs. Before that, plans a first backup into an empty vault. Prints times and memory.
 */
import { createReadStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import path from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { copyImages, planFirstPass } from '../activities/backup/copy-images';
import { prove } from '../activities/backup/prove';
import { seal, type SealStep } from '../activities/backup/seal';
import { StoredBlobs } from '../activities/backup/stored';
import type { Cluster } from '../activities/cluster';
import type { BackupFacts, MetadataTaken } from '../activities/contract';
import type { Host, RemoteProcess } from '../adapters/host/host';
import { localHost } from '../adapters/host/local';
import { listBlobBatches } from '../adapters/images/listing';
import { shareOut } from '../adapters/images/shares';
import { writeArtifact } from '../adapters/vault/artifacts';
import { ContentCache } from '../adapters/vault/content-cache';
import { openDirectoryVault } from '../adapters/vault/directory';
import { vaultPaths } from '../domain/vault-format';
import { freezeRecord } from '../test/helpers/changes';
import { BLOBS, TAGS } from './million';
import { CLUSTER } from './million-data';

const BACKUP_ID = 'work';

async function main(folder: string, layout: string): Promise<void> {
  const idle = process.memoryUsage.rss();
  const took: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await new MockActivityEnvironment().run<[], T, () => Promise<T>>(work);
    took[name] = (performance.now() - start) / 1000;
    return result;
  };
  const vault = openDirectoryVault(path.join(folder, 'vault'));
  const host = recorded(folder);
  const keys = { passphrases: ['a passphrase of the bench'], publicKeys: [], recipients: ['passphrase'] };
  const signal = new AbortController().signal;
  const cluster = {
    name: CLUSTER, vault, signal, cache: new ContentCache(path.join(folder, 'cache')),
    config: { policy: { stallSeconds: 600, segmentBytes: 256 << 20 }, dtr: {} },
    encryptionKeys: () => Promise.resolve(keys), decryptionKeys: () => Promise.resolve({ passphrases: [], privateKeys: [] }), signingKey: () => Promise.resolve(null),
    workDir: () => Promise.resolve(folder), dtr: () => Promise.resolve({}), ucp: () => Promise.reject(new Error('there is none')), host: () => Promise.resolve(host),
    images: () => Promise.resolve({ host, root: '/volume' }),
  } as unknown as Cluster;
  const facts = factsOf(layout);
  const step = { cluster: CLUSTER, operation: 'million', backupId: '20261124T020000Z-1a2b3c', facts };
  const metadata: MetadataTaken = {
    artifact: await writeArtifact(vault, vaultPaths.artifact(CLUSTER, step.backupId, 'metadata.tar.gz.gpg'), keys, createReadStream('/dev/null'), { gzip: true }),
    root: 'r', online: true, tables: {}, documents: 1, dumpStartedAt: '2026-11-23T02:00:00Z', dumpEndedAt: '2026-11-23T02:00:00Z',
  };
  // The rows stand where the step that reads the archive would leave them.
  await rename(path.join(folder, BACKUP_ID), path.join(folder, step.backupId));

  const first = await timed('first', async () => {
    const plan = await planFirstPass(listBlobBatches(host, '/volume'), await StoredBlobs.load(vault, 'another'));
    const shares = shareOut((function* () { for (let at = 0; at < plan.wanted.length; at += 1) yield { at, size: plan.wanted.at(at).size }; })(), 4);
    return shares.reduce((sum, share) => sum + share.length, 0);
  });
  expect('blobs to be moved by a first backup', first, BLOBS);
  const passes = [
    await timed('pass1', () => copyImages(cluster, { ...step, pass: 1 }, signal)),
    await timed('pass2', () => copyImages(cluster, { ...step, pass: 2 }, signal)),
  ];
  for (const { listed, stored } of passes) {
    expect('listed blobs', listed.blobs, BLOBS);
    expect('moved blobs', stored.blobs, 0);
  }
  const proof = await timed('prove', () => prove(cluster, { ...step, metadata }, signal));
  expect('gaps', proof.counts.gaps, 0);
  expect('tags', proof.counts.tags, TAGS);
  expect('blobs', proof.counts.blobs, BLOBS);
  const record = freezeRecord({ operation: 'million', cluster: CLUSTER, recordedAt: '2026-11-23T02:00:00Z', crons: [] });
  const sealed = await timed('seal', () => seal(cluster, { ...step, record, metadata, passes, proof, notes: [], startedBy: 'bench', startedAt: '2026-11-24T02:00:00Z' } satisfies SealStep, signal));
  expect('sealed blobs', sealed.counts.blobs, BLOBS);
  const round = (value: number): number => Math.round(value * 10) / 10;
  const mib = (bytes: number): number => Math.round(bytes / (1 << 20));
  const peak = mib(process.resourceUsage().maxRSS * 1024);
  process.stdout.write(JSON.stringify({
    seconds: round(took['pass1']! + took['pass2']! + took['prove']!), memoryMiB: peak - mib(idle), idleMiB: mib(idle),
    firstPlanSeconds: round(took['first']!), planSeconds: round(took['pass1']! + took['pass2']!), proveSeconds: round(took['prove']!), sealSeconds: round(took['seal']!),
  }));
}

function expect(what: string, found: number, expected: number): void {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`);
}

/** A host whose `find` and `tar` say what is in the files. */
function recorded(folder: string): Host {
  const local = localHost('bench');
  const spawn = (command: string[], options?: Parameters<Host['spawn']>[1]): Promise<RemoteProcess> =>
    local.spawn(['cat', path.join(folder, command.includes('find') ? 'listing' : 'tree.tar')], { ...options, root: false });
  return { name: 'bench', spawn, exec: () => Promise.resolve({ code: 0, stdout: '', stderr: '' }), close: () => local.close() };
}

function factsOf(layout: string): BackupFacts {
  const replica = { id: '5eb9459a7832', node: 'node-1', httpPort: 80, httpsPort: 443 };
  const settings = { externalUrl: '', httpProxy: '', httpsProxy: '', noProxy: '', logProtocol: '', logHost: '', logLevel: '', scanningEnabled: false, scanningSyncOnline: false, readOnlyRegistry: false, certificateFingerprint: '' };
  return {
    version: layout === 'id' ? '2.9.4' : '2.5.3', bootstrapperImage: 'mirantis/dtr:2.9.4', replica, replicas: [replica], settings, storage: { kind: 'local' },
    volume: { name: 'dtr-registry-5eb9459a7832', driver: 'local', options: {}, owner: { uid: 0, gid: 0 }, mode: '755', mountpoint: '/volume', host: 'node-1' },
    ucp: { url: 'https://ucp.example.com', clusterId: 'c', version: '3.1.0' }, vault: 'bench', warnings: [],
  };
}

main(process.argv[2] ?? '', process.argv[3] ?? 'id').catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
