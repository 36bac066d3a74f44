/** What a backup makes of an engine that does not deliver the end of an archive: no real engine does so on demand. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { END_OF_ARCHIVE, makeHeader, paddingOf } from '../../adapters/archive/tar-header';
import type { Engine, RunOptions } from '../../adapters/docker/engine';
import { takeMetadata, type MetadataStep } from '../../activities/backup/metadata';
import type { Cluster } from '../../activities/cluster';
import type { MetadataTaken } from '../../activities/contract';
import { activityEnvironment } from '../helpers/backup-run';
import { isError, scratchVault, writeKeys } from '../helpers/vault';

const ROOT = 'dtr-backup-v2.9.4-online';
const LOG = 'time="2026-11-24T00:00:00Z" level=info msg="Backup complete."';
const STEP = { cluster: 'lab', operation: 'backup_1', backupId: '20261124T000000Z-1a2b3c', round: 0, facts: { version: '2.9.4', bootstrapperImage: 'mirantis/dtr:2.9.4', replica: { id: 'a1640e1c15b6', node: '' } } } as MetadataStep;

function archive(document: string): Buffer {
  const data = Buffer.from(document);
  const folders = [ROOT, `${ROOT}/rethink`, `${ROOT}/rethink/properties`].map((name) => makeHeader({ name, type: 'directory', mode: 0o700 }));
  const file = makeHeader({ name: `${ROOT}/rethink/properties/0`, type: 'file', size: data.length, mode: 0o600 });
  return Buffer.concat([...folders, file, data, Buffer.alloc(paddingOf(data.length)), END_OF_ARCHIVE]);
}

describe('the metadata step', () => {
  let scratch: Awaited<ReturnType<typeof scratchVault>>;
  beforeEach(async () => {
    scratch = await scratchVault();
  });
  afterEach(() => scratch.remove());

  /** Takes metadata from a bootstrapper that says that all went well, whatever it has sent. */
  function take(sent: Buffer, attempt: number): Promise<MetadataTaken> {
    const engine = {
      containers: () => Promise.resolve([]),
      run: async (options: RunOptions) => {
        await options.onStdout!(Readable.from([sent]));
        options.onStderrLine!(LOG);
        return { exitCode: 0, stdout: Buffer.alloc(0), stderr: '' };
      },
    } as unknown as Engine;
    const cluster = {
      name: 'lab', vault: scratch.vault, signal: undefined, config: { bootstrapper: {}, ucp: {} },
      ucp: () => Promise.resolve({ url: 'https://ucp' }),
      engine: () => Promise.resolve(engine),
      dtr: () => Promise.resolve({ ping: () => Promise.resolve({ healthy: true, error: '' }), clockOffsetMs: 0 }),
      encryptionKeys: () => Promise.resolve(writeKeys),
      bootstrapperEnv: () => Promise.resolve({}),
      workDir: () => Promise.resolve(join(scratch.path, 'work')),
    } as unknown as Cluster;
    return activityEnvironment(attempt).run<[MetadataStep], MetadataTaken, (step: MetadataStep) => Promise<MetadataTaken>>((step) => takeMetadata(cluster, step), STEP);
  }

  async function stored(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of scratch.vault.list('lab/')) names.push(name);
    return names;
  }

  it('stores an archive that came whole', async () => {
    assert.equal((await take(archive('{"key":"a"}'), 1)).documents, 1);
    assert.equal((await stored()).length, 1);
  });

  for (const lost of [1, 1024, 1030]) {
    it(`asks to be run again, and stores nothing, when the last ${lost} bytes did not come although the command ended well`, async () => {
      const whole = archive('{"key":"a"}');
      await assert.rejects(take(whole.subarray(0, whole.length - lost), 1), isError('EngineUnavailable', /did not deliver the whole archive.*cut short/));
      assert.deepEqual(await stored(), []);
    });
  }

  it('leaves what another attempt has stored alone, whether it fails or ends well', async () => {
    const first = await take(archive('{"key":"a"}'), 1);
    await assert.rejects(take(archive('{}').subarray(0, -1024), 2), isError('EngineUnavailable', /cut short/));
    await assert.rejects(take(archive('not json'), 2), isError('IntegrityMismatch', /is not JSON/));
    assert.deepEqual(await stored(), [first.artifact.name]);
    const second = await take(archive('{"key":"a"}'), 3);
    assert.deepEqual(await stored(), [first.artifact.name, second.artifact.name].sort());
  });

  it('gives up at the fourth archive that is cut short', async () => {
    await assert.rejects(take(archive('{}').subarray(0, -1024), 4), isError('IntegrityMismatch', /cut short/));
  });

  it('does not make an archive again that is whole and wrong', async () => {
    await assert.rejects(take(archive('not json'), 1), isError('IntegrityMismatch', /properties\/0 .* is not JSON/));
    assert.deepEqual(await stored(), []);
  });
});
