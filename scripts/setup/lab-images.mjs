/** The lab's own images, built while other parts of set-up (the Temporal CLI) still go on. */
import { SetupError, step } from '../lib/console.mjs';
import { exec } from '../lib/exec.mjs';
import { inRoot } from '../lib/paths.mjs';

const BUILDER = 'scripts/setup/build-lab-images.mjs';

/** Builds what is missing or out of date for these DTR versions; the lab itself knows what is up to date. */
export async function ensureLabImages(versions) {
  await step('lab images', `building what is missing or changed (DTR ${versions.join(', ')})`, async (live) => {
    const { code, output } = await exec(process.execPath, ['--import', 'tsx', BUILDER, ...versions], { cwd: inRoot(), onLine: live });
    if (code !== 0) {
      throw new SetupError(`The lab's images cannot be built:\n${output.trim().split('\n').slice(-12).join('\n')}`, 'The build uses Debian packages inside containers: check that they can be reached from there.');
    }
  });
}
