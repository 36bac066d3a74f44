import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { join } from 'node:path';
import { openS3Vault } from '../../adapters/vault/s3';
import type { S3Config } from '../../domain/config';
import { s3Fault, startS3Proxy } from '../helpers/s3-proxy';
import { startVersitygw, type TestS3 } from '../helpers/versitygw';
import { conformance, type Place } from './conformance';
import { seedFiles, smallDisk } from './places';

const BUCKET = 'backups';
const PREFIX = 'drydock';

/** `settings`: another way to the same bucket. */
async function placeIn(s3: TestS3, stop: () => Promise<void>, settings: S3Config = s3.settings(BUCKET, { prefix: PREFIX })): Promise<Place> {
  const vault = openS3Vault(settings);
  await vault.check();
  return {
    vault,
    another: () => openS3Vault(settings),
    seed: (names) => seedFiles(join(s3.data, BUCKET, PREFIX), names),
    folders: async () => [],
    async leftovers() {
      const { Uploads = [] } = await s3.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
      const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${PREFIX}/.` }));
      return [...Uploads, ...Contents].map(({ Key }) => Key!);
    },
    async stop() {
      await vault.close();
      await stop();
    },
  };
}

async function fresh(): Promise<TestS3> {
  const s3 = await startVersitygw();
  await s3.makeBucket(BUCKET);
  return s3;
}

conformance({
  name: 'S3',
  async start() {
    const s3 = await fresh();
    return placeIn(s3, () => s3.stop());
  },
  async small(bytes) {
    const disk = await smallDisk(bytes);
    if (!disk) return null;
    const s3 = await startVersitygw({ root: disk.path });
    await s3.makeBucket(BUCKET);
    return placeIn(s3, async () => {
      await s3.stop();
      await disk.remove();
    });
  },
  async readOnly() {
    const s3 = await fresh();
    const place = await placeIn(s3, () => s3.stop());
    await place.vault.close();
    const readOnly = await startVersitygw({ readOnly: true, data: s3.data });
    return { ...place, vault: openS3Vault(readOnly.settings(BUCKET, { prefix: PREFIX })), stop: async () => {
      await readOnly.stop();
      await s3.stop();
    } };
  },
  async quota() {
    const s3 = await fresh();
    // Quotas of versitygw are those of its file system, which few machines can set.
    const proxy = await startS3Proxy(s3.port, { answer: ({ url = '' }, response) => /partNumber=[2-9]/.test(url) && s3Fault(response, 403, 'QuotaExceeded') });
    return placeIn(s3, async () => {
      await proxy.stop();
      await s3.stop();
    }, s3.settings(BUCKET, { prefix: PREFIX, endpoint: proxy.url }));
  },
  largeBytes: process.env['DRYDOCK_TEST_LARGE'] ? 5 * 2 ** 30 : 2 ** 29,
});
