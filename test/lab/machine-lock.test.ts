import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { oneAtATime } from '../../lab/hosts/machine-lock';
import { sleep } from '../../lab/hosts/process';
import { unique } from '../helpers/temporal';

const MODULE = path.resolve(__dirname, '../../lab/hosts/machine-lock.ts');

describe('what labs of one machine share', function () {
  this.timeout(30_000);

  it('is worked on by one at a time', async () => {
    const name = unique('lock');
    const log: string[] = [];
    const work = (who: string) => oneAtATime(name, async () => {
      log.push(`${who} in`);
      await sleep(50);
      log.push(`${who} out`);
    });
    await Promise.all([work('a'), work('b')]);
    assert.deepEqual(log.map((line) => line.split(' ')[1]), ['in', 'out', 'in', 'out']);
  });

  it('is free again when its holder was killed', async () => {
    const name = unique('lock');
    const script = `require(${JSON.stringify(MODULE)}).oneAtATime(${JSON.stringify(name)}, () => { console.log('held'); return new Promise(() => setInterval(() => 0, 1000)); })`;
    const holder = spawn(process.execPath, ['--import', 'tsx', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    await assert.rejects(oneAtATime(name, () => Promise.resolve(), AbortSignal.timeout(700)), { name: 'AbortError' });
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await oneAtATime(name, () => Promise.resolve(), AbortSignal.timeout(5000));
  });
});
