/** `<stateDir>/changes/<cluster>/` of the worker: kept always, so that the same worker finds it whatever else is away. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { hasCode } from '../../adapters/vault/fs-errors';
import { DrydockError } from '../../domain/errors';
import { RECORD_NAME, type ChangePlace } from './place';

export function statePlace(stateDir: string, cluster: string): ChangePlace {
  const folder = join(stateDir, 'changes', cluster);
  const failed = (cause: unknown): DrydockError => new DrydockError('NotPermitted', `${folder}, where changes are recorded, cannot be used`, { remedy: 'check stateDir, its rights and its disk', cause });
  const place: ChangePlace = {
    name: `stateDir on ${hostname()}`,
    kind: 'worker',
    async list() {
      try {
        const names = (await readdir(folder)).filter((name) => RECORD_NAME.test(name));
        return await Promise.all(names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })));
      } catch (cause) {
        if (hasCode(cause, 'ENOENT')) return [];
        throw failed(cause);
      }
    },
    async put(name, text) {
      const aside = join(folder, `.${randomBytes(8).toString('hex')}`);
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const file = await open(aside, 'wx', 0o600);
        try {
          await file.writeFile(text);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(aside, join(folder, name));
      } catch (cause) {
        await rm(aside, { force: true }).catch(() => undefined);
        throw failed(cause);
      }
    },
    async remove(name) {
      await rm(join(folder, name), { force: true }).catch((cause: unknown) => {
        throw failed(cause);
      });
    },
    async tryOut() {
      // One name for all: what a worker leaves that dies here is written over by the next.
      await place.put('probe', '');
      await place.remove('probe');
    },
  };
  return place;
}
