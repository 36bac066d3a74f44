import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { breakLab } from '../../lab/cli/break';
import { startSite, type Site } from './site';
import { testUi } from './ui';

const ROOT = path.resolve(__dirname, '..', '..');
const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const RESTORE = 'restore/lab/by-hand-1';

/** The fenced block after the comment that names it. */
function block(name: string): string {
  const found = new RegExp(`<!-- run by test/e2e/readme-lines\\.test\\.ts: ${name} -->\\n\`\`\`sh\\n([^]*?)\`\`\``).exec(README);
  assert.ok(found?.[1], `README.md has no block "${name}"`);
  return found[1];
}

/** One site for both: a lab takes a minute to bring up. */
describe('a site as a reader of the README has it', function () {
  this.timeout(600_000);
  let site: Site;

  before(async () => {
    site = await startSite('readme');
  });
  after(async () => site?.stop());

  describe('the lines of the README', () => {
    /** Runs a block as it stands, as a shell would that stops at the first failure. */
    async function run(name: string): Promise<string> {
      const child = spawn('bash', ['-euo', 'pipefail', '-c', block(name)], { cwd: ROOT, env: site.env, stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const [code] = (await once(child, 'close')) as [number | null];
      assert.equal(code, 0, `the block "${name}" ended with ${code}:\n${output}`);
      return output;
    }

    it('back a cluster up, list and show it by the drydock command', async () => {
      const output = await run('command');
      assert.match(output, /is complete/);
      assert.match(output, /lab {2}last complete backup \d{8}T\d{6}Z-/);
    });

    it('back a cluster up by the temporal command', async () => {
      assert.match(await run('backup'), /COMPLETED/);
    });

    it('restore it through its three gates: by an update, by a signal, and by the drydock command', async () => {
      await breakLab(site.lab, 'volume', []);
      await breakLab(site.lab, 'replica', []);
      assert.match(await run('restore'), /"stage"/);
      await site.gate(RESTORE, 'plan');
      assert.match(await run('plan'), /operator approved/);
      await site.gate(RESTORE, 'destroy');
      await run('destroy');
      await site.gate(RESTORE, 'release');
      assert.match(await run('release'), /is restored from backup/);
      assert.equal((await site.end(RESTORE)).status, 'completed');
    });
  });

  testUi(() => site);
});
