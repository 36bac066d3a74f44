/** What only a bucket has: keys, regions, lost answers, servers that know less. On a real server, some of it through a proxy that makes the fault. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { openS3Vault } from '../../adapters/vault/s3';
import { firstPartSize, partSize } from '../../adapters/vault/s3-parts';
import type { Vault } from '../../adapters/vault/vault';
import { TestCa } from '../helpers/pki';
import { s3Fault, startS3Proxy, type Fault, type S3Proxy } from '../helpers/s3-proxy';
import { collect, isError } from '../helpers/vault';
import { OWNER, startVersitygw, type TestS3 } from '../helpers/versitygw';
import { names } from './conformance';

const BUCKET = 'backups';
const MIB = 1 << 20;

describe('a vault in an S3 bucket', function () {
  this.timeout(180_000);
  let s3: TestS3;
  const opened: { close(): unknown }[] = [];
  before(async () => {
    s3 = await startVersitygw();
    await s3.makeBucket(BUCKET);
  });
  after(() => s3.stop());
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  let folder = 0;
  /** A vault in a folder of its own, checked. */
  async function vaultBehind(fault?: Fault): Promise<{ vault: Vault; prefix: string; proxy: S3Proxy }> {
    const prefix = `f${(folder += 1)}`;
    const direct = openS3Vault(s3.settings(BUCKET, { prefix }));
    await direct.check();
    const proxy = await startS3Proxy(s3.port, fault ?? {});
    const vault = openS3Vault(s3.settings(BUCKET, { prefix, endpoint: proxy.url }));
    opened.push(direct, vault, { close: () => proxy.stop() });
    return { vault, prefix, proxy };
  }

  async function uploadTo(vault: Vault, name: string, content: Buffer): Promise<void> {
    const upload = await vault.upload(name);
    await pipeline(Readable.from([content]), upload.stream);
    await upload.commit();
  }

  async function leftovers(prefix: string): Promise<string[]> {
    const { Uploads = [] } = await s3.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: `${prefix}/` }));
    const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${prefix}/.` }));
    return [...Uploads, ...Contents].map(({ Key }) => Key!);
  }

  it('says which keys are wrong, and what to do about it', async () => {
    process.env['DRYDOCK_TEST_WRONG'] = 'wrong';
    const check = (more: Parameters<TestS3['settings']>[1]): Promise<void> => openS3Vault(s3.settings(BUCKET, more)).check();
    await assert.rejects(check({ secretAccessKey: 'env:DRYDOCK_TEST_WRONG' }), isError('AuthRejected', /does not accept the keys \(SignatureDoesNotMatch\)/));
    await assert.rejects(check({ accessKeyId: 'env:DRYDOCK_TEST_WRONG' }), isError('AuthRejected', /does not accept the keys/));
    await assert.rejects(check({ accessKeyId: 'env:DRYDOCK_TEST_UNSET' }), isError('InvalidInput', /DRYDOCK_TEST_UNSET is not set/));
  });

  it('says that there is no such bucket, and that nobody answers at an address', async () => {
    await assert.rejects(openS3Vault(s3.settings('absent')).check(), isError('NotFound', /there is no bucket absent/));
    await assert.rejects(openS3Vault(s3.settings(BUCKET, { endpoint: 'http://127.0.0.1:1' })).check(), isError('VaultUnavailable', /cannot be reached/));
  });

  it('takes the keys from the environment, as every S3 program does, where none are named', async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: OWNER.access, AWS_SECRET_ACCESS_KEY: OWNER.secret });
    try {
      const vault = openS3Vault(s3.settings(BUCKET, { prefix: 'environment', accessKeyId: undefined, secretAccessKey: undefined }));
      await vault.check();
      await vault.close();
    } finally {
      delete process.env['AWS_ACCESS_KEY_ID'];
      delete process.env['AWS_SECRET_ACCESS_KEY'];
    }
  });

  it('checks the server\'s certificate against the system\'s authorities, or those that it is given', async () => {
    const ca = new TestCa();
    const secure = await startVersitygw({ tls: ca.issue(['IP:127.0.0.1']) });
    try {
      const trusting = openS3Vault(secure.settings(BUCKET, { caFile: ca.caFile }));
      await assert.rejects(openS3Vault(secure.settings(BUCKET)).check(), isError('TlsRejected', /not signed by an authority that we trust/));
      await assert.rejects(trusting.check(), isError('NotFound', /there is no bucket/));
      await mkdir(join(secure.data, BUCKET));
      await trusting.check();
      const content = randomBytes(20 * MIB);
      await uploadTo(trusting, 'lab/x.gpg', content);
      assert.ok((await collect(await trusting.read('lab/x.gpg', { offset: 5 }))).equals(content.subarray(5)));
      await trusting.close();
    } finally {
      await secure.stop();
      ca.remove();
    }
  });

  it('knows its own object when the answer that it had been written got lost', async () => {
    const lost = new Set<string>();
    const { vault, prefix } = await vaultBehind({
      loseAnswer: ({ method, url = '' }) => {
        const isCommit = (method === 'PUT' && url.includes('manifest')) || (method === 'POST' && url.includes('uploadId='));
        return isCommit && !lost.has(method) && Boolean(lost.add(method));
      },
    });
    await vault.put('lab/manifest.json', 'x');
    await uploadTo(vault, 'lab/large.gpg', Buffer.alloc(20 * MIB));
    assert.equal(lost.size, 2, 'both answers were lost');
    assert.equal((await vault.stat('lab/large.gpg'))?.size, 20 * MIB);
    assert.deepEqual(await leftovers(prefix), []);
    await assert.rejects(vault.put('lab/manifest.json', 'x'), isError('Conflict', /never rewritten/));
  });

  it('tries again when another writer was at the same name; a large upload is to be made again', async () => {
    let races = 0;
    const { vault, prefix } = await vaultBehind({
      answer: ({ method, url = '' }, response) =>
        ((method === 'PUT' && url.includes('small') && (races += 1) <= 2) || (method === 'POST' && url.includes('uploadId='))) && !url.includes('probe') && s3Fault(response, 409, 'ConditionalRequestConflict'),
    });
    await vault.put('lab/small', 'x');
    assert.equal(races, 3);
    await assert.rejects(uploadTo(vault, 'lab/large.gpg', Buffer.alloc(20 * MIB)), isError('VaultUnavailable', /at the same moment, and nothing was written/));
    assert.equal(await vault.stat('lab/large.gpg'), null);
    assert.deepEqual(await leftovers(prefix), []);
  });

  it('writes its probe again when another writer was at the same name', async () => {
    let races = 0;
    const { vault } = await vaultBehind({ answer: ({ method, url = '' }, response) => method === 'PUT' && url.includes('/probe-') && (races += 1) <= 2 && s3Fault(response, 409, 'ConditionalRequestConflict') });
    await vault.check();
    await vault.put('lab/x', 'x');
    assert.ok(races > 2, `${races} probes`);
  });

  it('waits when the server asks to slow down, and says so when it goes on asking', async () => {
    let asked = 0;
    const { vault } = await vaultBehind({
      answer: ({ url = '' }, response) => (url.includes('/often') || (url.includes('/once') && (asked += 1) === 1)) && s3Fault(response, 503, 'SlowDown'),
    });
    await vault.put('lab/once', 'x');
    await assert.rejects(vault.put('lab/often', 'x'), isError('Busy', /slow down/));
  });

  it('takes no part and no object whose bytes were changed on the way: the server compares them with their SHA-256', async () => {
    const { vault, proxy } = await vaultBehind({ flip: ({ method, url = '' }) => method === 'PUT' && url.includes('/lab/') });
    await assert.rejects(vault.put('lab/x', 'x'), isError('Refused', /SHA256|checksum|BadDigest/i));
    await assert.rejects(uploadTo(vault, 'lab/y.gpg', randomBytes(9 * MIB)), isError('Refused', /SHA256|checksum|BadDigest/i));
    assert.ok(proxy.calls.some((call) => call.includes('/lab/y.gpg?') && call.includes('partNumber=')), 'a part was sent');
    assert.deepEqual([await vault.stat('lab/x'), await vault.stat('lab/y.gpg')], [null, null]);
  });

  it('refuses a request whose signed headers were changed on the way', async () => {
    const { vault } = await vaultBehind({ strip: ['if-none-match'] });
    await assert.rejects(vault.put('lab/x', 'x'), isError('AuthRejected', /SignatureDoesNotMatch/), 'whatever stands between cannot change a request unseen');
  });

  it('reads no object as whole whose connection was cut, and closes the connection of a reader that has had enough', async () => {
    const { vault, proxy } = await vaultBehind({ cutAfter: ({ method, url = '' }) => (method === 'GET' && url.includes('/cut') ? 3 * MIB : undefined) });
    for (const name of ['lab/cut', 'lab/whole']) await vault.put(name, randomBytes(40 * MIB));
    await assert.rejects(collect(await vault.read('lab/cut')), isError('VaultUnavailable', /.*/));
    const before = proxy.givenUp();
    for await (const first of await vault.read('lab/whole')) {
      assert.ok((first as Buffer).length > 0);
      break;
    }
    for (let n = 0; n < 100 && proxy.givenUp() === before; n += 1) await sleep(20);
    assert.equal(proxy.givenUp(), before + 1);
  });

  it('clears away uploads that nobody has added to for a day, and no younger ones', async () => {
    const { vault, prefix } = await vaultBehind();
    for (const name of ['old.gpg', 'young.gpg']) {
      const upload = await vault.upload(`lab/${name}`);
      await new Promise<void>((resolve, reject) => upload.stream.write(Buffer.alloc(9 * MIB), (error) => (error ? reject(error) : resolve())));
    }
    const multipart = join(s3.data, BUCKET, '.sgwtmp', 'multipart', createHash('sha256').update(`${prefix}/lab/old.gpg`).digest('hex'));
    const entries = (): Promise<{ parentPath: string; name: string }[]> => readdir(multipart, { recursive: true, withFileTypes: true });
    // The upload's folder, and the part in it.
    while ((await entries()).length < 2) await sleep(20);
    await sleep(200);
    const past = new Date(Date.now() - 25 * 3_600_000);
    for (const entry of await entries()) await utimes(join(entry.parentPath, entry.name), past, past);
    await vault.check();
    assert.deepEqual(await leftovers(prefix), [`${prefix}/lab/young.gpg`]);
  });

  it('cuts objects of any size into fewer than 10,000 parts', () => {
    for (const expected of [0, 5 * 2 ** 30, 2 ** 40, 5 * 2 ** 40]) {
      const first = firstPartSize(expected);
      let bytes = 0;
      let number = 0;
      while (bytes < 5 * 2 ** 40) bytes += partSize((number += 1), first);
      assert.ok(number <= 10_000, `${expected}: ${number} parts`);
      assert.ok(partSize(number, first) <= 5 * 2 ** 30);
    }
    assert.equal(firstPartSize(5 * 2 ** 30), 8 * MIB, 'memory stays small for what is common');
  });
});

describe('a vault on an S3 server without conditional writes', function () {
  this.timeout(180_000);
  let s3: TestS3;
  let proxy: S3Proxy;
  let vault: Vault;
  const open = (): Vault => openS3Vault(s3.settings(BUCKET, { endpoint: proxy.url }));
  before(async () => {
    s3 = await startVersitygw();
    await s3.makeBucket(BUCKET);
    proxy = await startS3Proxy(s3.port, { strip: ['if-none-match'], keys: OWNER });
    vault = open();
    await vault.check();
  });
  after(async () => {
    await vault.close();
    await proxy.stop();
    await s3.stop();
  });

  async function temporary(): Promise<string[]> {
    const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: '.drydock-tmp/' }));
    return Contents.map(({ Key }) => Key!);
  }

  it('says so', () => {
    assert.match(vault.description, /conditional writes cannot be relied on: each name is claimed first/);
  });

  it('lets exactly one of 20 racing writers create a name all the same, small or large', async () => {
    for (const bytes of [10, 9 * MIB]) {
      const doors = Array.from({ length: 4 }, open);
      const name = `lab/backups/${bytes}/manifest.json`;
      const outcomes = await Promise.allSettled(Array.from({ length: bytes > MIB ? 5 : 20 }, async (_, i) => {
        const upload = await doors[i % 4]!.upload(name);
        await pipeline(Readable.from([Buffer.alloc(bytes, i)]), upload.stream);
        await upload.commit();
      }));
      const won = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []));
      for (const outcome of outcomes) if (outcome.status === 'rejected') isError('Conflict', /never rewritten/)(outcome.reason);
      assert.equal(won.length, 1);
      assert.ok((await vault.readAll(name, 10 * MIB)).equals(Buffer.alloc(bytes, won[0])));
      await Promise.all(doors.map((door) => door.close()));
    }
    assert.deepEqual(await temporary(), []);
    assert.deepEqual(await names(vault, 'lab/'), [`lab/backups/10/manifest.json`, `lab/backups/${9 * MIB}/manifest.json`]);
  });

  it('is not held up by a claim that its writer left behind a day ago', async () => {
    const claims = join(s3.data, BUCKET, '.drydock-tmp', 'claims');
    const dead = join(claims, `${createHash('sha256').update('lab/x').digest('hex')}-dead`);
    await mkdir(claims, { recursive: true });
    await writeFile(dead, '');
    const past = new Date(Date.now() - 25 * 3_600_000);
    await utimes(dead, past, past);
    await vault.put('lab/x', 'x');
    assert.deepEqual(await temporary(), []);
  });
});
