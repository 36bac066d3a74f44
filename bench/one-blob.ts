/**
 * Time to the first byte of one blob alone, from segments of 256 MiB in a local vault: a few large blobs, and as many small ones as fit, whose
 * index is longest. Each figure is the median over several blobs; `cold` opens the segment anew, `warm` has its session key.
 * Run: npx tsx bench/one-blob.ts [--json]
 */
import { createCipheriv, createHash } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DecryptionKeys, EncryptionKeys } from '../adapters/openpgp/keys';
import { BlobReader } from '../adapters/vault/blob-reader';
import { openDirectoryVault } from '../adapters/vault/directory';
import { readIndexes } from '../adapters/vault/segment-index';
import type { WantedBlob } from '../adapters/vault/segment-places';
import { SegmentWriter } from '../adapters/vault/segment-writer';
import type { Vault } from '../adapters/vault/vault';
import { sha256BlobPath } from '../domain/layout';
import { vaultPaths } from '../domain/vault-format';

const SEGMENT_BYTES = 256 << 20;
const PASSPHRASE = 'a passphrase of the bench';
const writeKeys: EncryptionKeys = { passphrases: [PASSPHRASE], publicKeys: [], recipients: ['passphrase'] };
const readKeys: DecryptionKeys = { passphrases: [PASSPHRASE], privateKeys: [] };
const LOOKS = 9;

interface Figure {
  blobs: number;
  indexBytes: number;
  coldMs: number;
  warmMs: number;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'drydock-one-blob-'));
  try {
    const large = await measure(path.join(folder, 'large'), 24 << 20);
    const small = await measure(path.join(folder, 'small'), 600);
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ large, small })}\n`);
    else for (const [name, figure] of Object.entries({ large, small })) process.stdout.write(`${name}: ${figure.blobs} blobs, index of ${figure.indexBytes} bytes: first byte after ${figure.coldMs} ms cold, ${figure.warmMs} ms warm\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string, blobBytes: number): Promise<Figure> {
  const vault = openDirectoryVault(folder);
  await vault.check();
  const wanted = await fill(vault, blobBytes);
  const chosen = Array.from({ length: LOOKS }, (_, at) => wanted[Math.floor(((at + 0.5) * wanted.length) / LOOKS)]!);
  const cold: number[] = [];
  const warm: number[] = [];
  for (const blob of chosen) {
    const reader = new BlobReader(vault, 'bench', readKeys);
    cold.push(await firstByte(reader, blob));
    warm.push(await firstByte(reader, blob));
  }
  const index = await stat(path.join(folder, vaultPaths.segmentIndex('bench', wanted[0]!.segment)));
  return { blobs: wanted.length, indexBytes: index.size, coldMs: median(cold), warmMs: median(warm) };
}

async function firstByte(reader: BlobReader, blob: WantedBlob): Promise<number> {
  const started = performance.now();
  const bytes = reader.read(blob);
  await bytes.next();
  const took = performance.now() - started;
  await bytes.return(undefined);
  return took;
}

/** One full segment; returns what is in it. */
async function fill(vault: Vault, blobBytes: number): Promise<WantedBlob[]> {
  const writer = new SegmentWriter({ vault, cluster: 'bench', keys: writeKeys, writtenBy: 'bench', segmentBytes: SEGMENT_BYTES });
  // Each member of the tar has a header of one block, two where its path is long, and is filled up to a whole block.
  const count = Math.floor((SEGMENT_BYTES - 4096) / (Math.ceil(blobBytes / 512) * 512 + 512));
  for (let at = 0; at < count && writer.segments.length === 0; at += 1) {
    const data = createCipheriv('aes-128-ctr', createHash('md5').update(`${blobBytes} ${at}`).digest(), Buffer.alloc(16)).update(Buffer.alloc(blobBytes));
    const sha256 = createHash('sha256').update(data).digest('hex');
    await writer.add({ path: sha256BlobPath(sha256), size: data.length, sha256 }, only(data));
  }
  await writer.finish();
  const wanted: WantedBlob[] = [];
  for await (const { header, blobs } of readIndexes(vault, 'bench')) for (const { path: name, size, sha256 } of blobs) wanted.push({ path: name, size, sha256, segment: header.segment });
  const [first] = wanted;
  return wanted.filter(({ segment }) => segment === first!.segment);
}

async function* only(data: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(data);
}

function median(values: number[]): number {
  return Number([...values].sort((a, b) => a - b)[values.length >> 1]!.toFixed(1));
}

void main();
