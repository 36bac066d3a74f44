/** Planning and proving a very large registry: its own process, so that its memory is its own. */
import { spawn } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeMillion } from './million-data';

export interface Million {
  seconds: number;
  /** Peak of the whole process. */
  memoryMiB: number;
  planSeconds: number;
  proveSeconds: number;
}

export const BLOBS = 1_000_000;
export const TAGS = 200_000;

/** Makes indexes, listing and rows of a registry with so many blobs and tags, then plans and proves as the activities do. */
export async function measureMillion(base: string): Promise<Million> {
  const folder = path.join(base, 'million');
  await mkdir(folder, { recursive: true });
  try {
    await makeMillion(folder, BLOBS, TAGS);
    const child = spawn(process.execPath, ['--import', 'tsx', path.join(__dirname, 'million-job.ts'), folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const code = await new Promise((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`planning and proving a million blobs ended with ${String(code)}`);
    return JSON.parse(said) as Million;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
