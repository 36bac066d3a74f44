/** Who keeps records here: an id that is made once for each stateDir. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { hasCode } from '../../adapters/vault/fs-errors';
import { DrydockError } from '../../domain/errors';

export interface Installation {
  id: string;
  /** Name of the machine. */
  host: string;
}

const content = z.object({ id: z.uuid() });

/** Throws NotPermitted where stateDir cannot be used. */
export async function installationOf(stateDir: string): Promise<Installation> {
  const file = join(stateDir, 'installation.json');
  const read = async (): Promise<Installation> => ({ id: content.parse(JSON.parse(await readFile(file, 'utf8'))).id, host: hostname() });
  try {
    return await read();
  } catch (cause) {
    if (!hasCode(cause, 'ENOENT')) throw failed(file, cause);
  }
  const id = randomUUID();
  const aside = `${file}.${id}`;
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await writeFile(aside, `${JSON.stringify({ id })}\n`, { mode: 0o600, flush: true });
    await link(aside, file);
  } catch (cause) {
    // Another step has made it in this moment.
    if (!hasCode(cause, 'EEXIST')) throw failed(file, cause);
  } finally {
    await rm(aside, { force: true }).catch(() => undefined);
  }
  return read().catch((cause: unknown) => {
    throw failed(file, cause);
  });
}

function failed(file: string, cause: unknown): DrydockError {
  return new DrydockError('NotPermitted', `${file}, which names this installation, cannot be used`, { remedy: 'check stateDir, its rights and its disk; when the file is damaged, remove it', cause });
}
