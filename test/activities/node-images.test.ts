import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine, PullOptions } from '../../adapters/docker/engine';
import type { Host } from '../../adapters/host/host';
import { ensureImages } from '../../activities/node-images';
import type { PullingCluster } from '../../activities/pull-images';
import type { Heartbeat } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import { activityEnvironment } from '../helpers/backup-run';

const IMAGES = ['docker/dtr-api:2.5.3', 'docker/dtr-nginx:2.5.3'];

interface FakeHost {
  host: Host;
  has: Set<string>;
  pulls: string[];
}

/** A host's engine; `pull` answers null when it pulls. */
function hostOf(name: string, has: string[], pull: (image: string) => Promise<string | null> = () => Promise.resolve('no route to host')): FakeHost {
  const there = new Set(has);
  const pulls: string[] = [];
  const host: Host = {
    name,
    exec: (command) => {
      const missing = command.slice(5).filter((image) => !there.has(image));
      return Promise.resolve({ code: missing.length === 0 ? 0 : 1, stdout: '', stderr: missing.map((image) => `Error: No such image: ${image}`).join('\n') });
    },
    spawn: (command) => {
      const image = command.at(-1)!;
      assert.deepEqual(command.slice(0, -1), ['docker', 'pull'], 'older engines know no --quiet');
      pulls.push(image);
      const exit = pull(image).then((why) => {
        if (why === null) there.add(image);
        return { code: why === null ? 0 : 1, stderr: why === null ? '' : `Error response from daemon\n${why}\n` };
      });
      return Promise.resolve({ stdin: new Writable({ write: (_chunk, _encoding, done) => done() }), stdout: Readable.from([Buffer.from('2.5.3: Pulling from docker/dtr-api\n')]), exit, kill: () => Promise.resolve() });
    },
    close: () => Promise.resolve(),
  };
  return { host, has: there, pulls };
}

function ucpThat(pullImage: (image: string, options: PullOptions) => Promise<void>): PullingCluster {
  const engine: Partial<Engine> = { pullImage: (image, options = {}) => pullImage(image, options) };
  return { signal: undefined, engine: () => Promise.resolve(engine as Engine) };
}

describe('the vendor\'s images on nodes', () => {
  const ensure = async (cluster: PullingCluster, hosts: FakeHost[]): Promise<{ errors: string[]; beats: Heartbeat[] }> => {
    const environment = activityEnvironment();
    const beats: Heartbeat[] = [];
    environment.on('heartbeat', (beat: Heartbeat) => beats.push(beat));
    const errors = await environment.run(() => ensureImages(cluster, hosts.map(({ host }) => host), IMAGES));
    return { errors: [...(errors as Map<Host, DrydockError>).values()].map(({ message }) => message), beats };
  };

  it('are left alone where they are all there', async () => {
    const { errors } = await ensure(ucpThat(() => assert.fail('nothing to pull')), [hostOf('node-1', IMAGES)]);
    assert.deepEqual(errors, []);
  });

  it('are pulled by UCP, on all nodes at once and each once, with live bytes', async () => {
    const hosts = [hostOf('node-1', [IMAGES[0]!]), hostOf('node-2', []), hostOf('node-3', IMAGES)];
    const asked: string[] = [];
    const { errors, beats } = await ensure(ucpThat((image, { onProgress }) => {
      asked.push(image);
      onProgress?.({ bytesDone: 5, bytesTotal: 10, status: 'a: Downloading' });
      for (const { has } of hosts) has.add(image);
      return Promise.resolve();
    }), hosts);
    assert.deepEqual([errors, asked], [[], IMAGES]);
    assert.ok(beats.some(({ phase }) => phase === `pulling ${IMAGES[1]}`), JSON.stringify(beats));
  });

  it('are pulled by the hosts themselves where UCP cannot, side by side', async () => {
    let now = 0;
    let most = 0;
    const slowly = async (): Promise<null> => {
      most = Math.max(most, ++now);
      await sleep(30);
      now -= 1;
      return null;
    };
    const hosts = [hostOf('node-1', [], slowly), hostOf('node-2', [IMAGES[0]!], slowly)];
    const { errors, beats } = await ensure(ucpThat(() => Promise.reject(new DrydockError('NotFound', 'denied'))), hosts);
    assert.deepEqual(errors, []);
    assert.deepEqual(hosts.map(({ pulls }) => pulls), [IMAGES, [IMAGES[1]]]);
    assert.equal(most, 2);
    assert.ok(beats.some(({ phase }) => /^node-1 pulls docker\/dtr-api:2\.5\.3: 2\.5\.3: Pulling/.test(phase)), JSON.stringify(beats));
  });

  it('that nobody can pull are named for each host, in the words of UCP and of its own engine', async () => {
    const said = 'the image docker/dtr-api:2.5.3 cannot be pulled: node-2: pull access denied, may require docker login';
    const { errors } = await ensure(ucpThat(() => Promise.reject(new DrydockError('NotFound', said))), [hostOf('node-1', []), hostOf('node-2', [IMAGES[1]!])]);
    assert.deepEqual(errors, [
      `node-1 has not the images ${IMAGES.join(', ')} and cannot pull them: no route to host; UCP: ${said}`,
      `node-2 has not the image ${IMAGES[0]} and cannot pull it: no route to host; UCP: ${said}`,
    ]);
  });
});
