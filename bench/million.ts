/** What a backup does with the lists of a very large registry: its own process for each layout, so that its memory is its own. */
import { spawn } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { BlobLayout } from '../domain/layout';
import { makeMillion } from './million-data';

/** Of one layout, as `million-job.ts` says. */
export interface MillionOfLayout {
  /** Planning (both passes) and proof; the seal, which encrypts the lists, stands apart. */
  seconds: number;
  /** Peak of the whole process above its idle size, a first backup's plan included. */
  memoryMiB: number;
  idleMiB: number;
  firstPlanSeconds: number;
  planSeconds: number;
  proveSeconds: number;
  sealSeconds: number;
}

/** The slower time and the larger memory of both. */
export interface Million {
  seconds: number;
  memoryMiB: number;
  layouts: Record<BlobLayout, MillionOfLayout>;
}

export const BLOBS = 1_000_000;
export const TAGS = 200_000;

/** Makes indexes, listing, links and rows of a registry with so many blobs and tags, then goes through a backup of it as the activities do, for both layouts. */
export async function measureMillion(base: string): Promise<Million> {
  const layouts = { id: await measure(base, 'id'), sha256: await measure(base, 'sha256') };
  const both = Object.values(layouts);
  return { seconds: Math.max(...both.map(({ seconds }) => seconds)), memoryMiB: Math.max(...both.map(({ memoryMiB }) => memoryMiB)), layouts };
}

async function measure(base: string, layout: BlobLayout): Promise<MillionOfLayout> {
  const folder = path.join(base, `million-${layout}`);
  await mkdir(folder, { recursive: true });
  try {
    await makeMillion(folder, BLOBS, TAGS, layout);
    const child = spawn(process.execPath, [...process.execArgv, require.resolve('./million-job'), folder, layout], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`planning and proving a million blobs ended with ${String(code)}`);
    return JSON.parse(said) as MillionOfLayout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (require.main === module) {
  void measureMillion(process.argv[2] ?? '.').then((million) => process.stdout.write(`${JSON.stringify(million, null, 2)}\n`));
}
