import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { builtCommand } from '../helpers/product';

describe('the units of docs/service.md', () => {
  const text = readFileSync(path.join(__dirname, '../../docs/service.md'), 'utf8');
  const units = [...text.matchAll(/```ini\n(.*?)```/gs)].map(([, unit]) => unit!);

  it('run the program itself, and leave the end of all else to it', () => {
    assert.deepEqual(units.map((unit) => /^ExecStart=\/usr\/bin\/node \/opt\/drydock\/dist\/client\/main\.js (.*)$/m.exec(unit)?.[1]), ['worker', 'up']);
    for (const unit of units) for (const line of ['KillMode=mixed', 'Restart=on-failure', 'TimeoutStopSec=60']) assert.ok(unit.split('\n').includes(line), line);
  });

  it('are taken by systemd as they stand, where it is there to ask', async () => {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) return;
    const folder = await mkdtemp(path.join(tmpdir(), 'drydock-units-'));
    try {
      for (const [at, unit] of units.entries()) {
        const file = path.join(folder, `drydock-${at}.service`);
        // Program and user of this machine: the site's are not here.
        await writeFile(file, unit.replace('/usr/bin/node /opt/drydock/dist/client/main.js', `${process.execPath} ${builtCommand()}`).replace('User=drydock', 'User=root').replace('Group=drydock', 'Group=root'));
        const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
        assert.deepEqual([status, `${stdout}${stderr}`.split('\n').filter((line) => line.includes(path.basename(file)))], [0, []]);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
