/** The steps of a backup, each tried alone on one lab. The order counts: the whole backups expect a registry that nobody has broken yet. */
import { IS_LONG } from '../../helpers/long';
import { brokenOff } from './broken-off';
import { check } from './check';
import { freeze } from './freeze';
import { gaps } from './gaps';
import { helperContainer } from './helper-container';
import { BackupScene, type SceneVersion } from './scene';
import { wholeBackups } from './whole';

const OLDEST: SceneVersion = '2.5.3';

export function backupSteps(version: SceneVersion): void {
  describe(`backup steps on DTR ${version}`, function () {
    this.timeout(240_000);
    const scene = new BackupScene(version);
    before(() => scene.start());
    after(() => scene.stop());

    check(scene);
    wholeBackups(scene);
    gaps(scene);
    freeze(scene);
    // The same on every version.
    if (version === OLDEST && !IS_LONG) return;
    brokenOff(scene);
    helperContainer(scene);
  });
}
