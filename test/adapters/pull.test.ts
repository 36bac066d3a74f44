import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { readProgress, type PullProgress } from '../../adapters/docker/pull';
import { failure } from '../helpers/failure';

const line = (words: object): string => `${JSON.stringify(words)}\r\n`;

describe('what an engine says while it pulls', () => {
  it('is counted in bytes over all layers, and ends whole', async () => {
    const stream = new PassThrough();
    const seen: PullProgress[] = [];
    stream.write(line({ status: 'Pulling from dtr', id: '2.9.4' }));
    stream.write(line({ status: 'Downloading', id: 'a', progressDetail: { current: 10, total: 100 } }));
    stream.write(line({ status: 'Downloading', id: 'b', progressDetail: { current: 5, total: 50 } }));
    stream.write(line({ status: 'Download complete', id: 'a' }));
    stream.write(line({ status: 'Extracting', id: 'a', progressDetail: { current: 1, total: 999 } }));
    stream.write('no JSON\n');
    stream.end(line({ status: 'Pull complete', id: 'b' }));
    assert.equal(await readProgress(stream, (progress) => seen.push(progress)), undefined);
    assert.deepEqual(seen.map(({ bytesDone, bytesTotal }) => [bytesDone, bytesTotal]), [[0, 0], [10, 100], [15, 150], [105, 150], [105, 150], [105, 150], [150, 150]]);
    assert.equal(seen[1]!.status, 'a: Downloading');
  });

  it('holds the error of a node, word by word, although the status was 200', async () => {
    const stream = new PassThrough();
    stream.end(line({ status: 'Pulling' }) + line({ error: 'pull access denied for docker/dtr, repository does not exist or may require \'docker login\'' }) + line({ status: 'done' }));
    assert.equal(await readProgress(stream), 'pull access denied for docker/dtr, repository does not exist or may require \'docker login\'');
  });

  it('may take as long as something is said, however little', async () => {
    const stream = new PassThrough();
    void (async () => {
      for (let n = 0; n < 8; n++) {
        await sleep(100);
        stream.write(line({ id: 'node-1', status: 'Pulling' }));
      }
      stream.end();
    })();
    assert.equal(await readProgress(stream, () => undefined, 400), undefined);
  });

  it('is Stalled after a silence, and an error when it breaks off', async () => {
    const silent = new PassThrough();
    silent.write(line({ status: 'Pulling' }));
    await failure(readProgress(silent, () => undefined, 100), 'Stalled');
    const broken = new PassThrough();
    setTimeout(() => broken.destroy(new Error('cut')), 20);
    await assert.rejects(readProgress(broken), /cut/);
  });
});
