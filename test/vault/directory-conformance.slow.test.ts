import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import { conformance, type Place } from './conformance';
import { filesIn, seedFiles, smallDisk } from './places';

async function placeIn(directory: string, stop: () => Promise<void>): Promise<Place> {
  const vault = openDirectoryVault(directory);
  await vault.check();
  return {
    vault, stop,
    another: () => openDirectoryVault(directory),
    seed: (names) => seedFiles(directory, names),
    folders: (of) => filesIn(join(directory, of)),
    leftovers: () => filesIn(join(directory, '.drydock-tmp')),
  };
}

conformance({
  name: 'directory',
  async start() {
    const path = await mkdtemp(join(tmpdir(), 'drydock-vault-'));
    return placeIn(join(path, 'vault'), () => rm(path, { recursive: true, force: true }));
  },
  async small(bytes) {
    const disk = await smallDisk(bytes);
    return disk && placeIn(join(disk.path, 'vault'), () => disk.remove());
  },
  async readOnly() {
    const disk = await smallDisk(8 << 20);
    if (!disk) return null;
    const place = await placeIn(join(disk.path, 'vault'), () => disk.remove());
    disk.readOnly();
    return place;
  },
  largeBytes: process.env['DRYDOCK_TEST_LARGE'] ? 5 * 2 ** 30 : 2 ** 28,
});
