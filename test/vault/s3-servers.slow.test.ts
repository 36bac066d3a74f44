/** Servers of S3 and what stands before them, as they are: what they lack, refuse, and answer that is not so. On a real server, behind a proxy that makes the fault. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { openS3Vault } from '../../adapters/vault/s3';
import type { Vault } from '../../adapters/vault/vault';
import type { S3Config } from '../../domain/config';
import { s3Fault, startS3Proxy, type Fault, type S3Proxy } from '../helpers/s3-proxy';
import { collect, isError } from '../helpers/vault';
import { OWNER, startVersitygw, type TestS3 } from '../helpers/versitygw';
import { names } from './conformance';

const BUCKET = 'backups';
const MIB = 1 << 20;
const HTML = '<html><head><title>413 Request Entity Too Large</title></head><body><center><h1>413 Request Entity Too Large</h1></center><hr><center>nginx</center></body></html>';

const isGet = ({ method, url = '' }: IncomingMessage): boolean => method === 'GET' && url.includes('x-id=GetObject');
const isList = ({ method, url = '' }: IncomingMessage): boolean => method === 'GET' && url.includes('list-type=2');
const isComplete = ({ method, url = '' }: IncomingMessage): boolean => method === 'POST' && url.includes('uploadId=');
const page = (response: ServerResponse, status: number, body = HTML, type = 'text/html'): true => {
  response.writeHead(status, { 'content-type': type, ...(body === '' ? {} : { connection: 'close' }) }).end(body);
  return true;
};

describe('a vault behind an S3 server', function () {
  this.timeout(180_000);
  let s3: TestS3;
  const opened: { close(): unknown }[] = [];
  before(async () => {
    s3 = await startVersitygw();
    await s3.makeBucket(BUCKET);
    await s3.makeBucket('locked', { lock: true });
  });
  after(() => s3.stop());
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  let folder = 0;
  /** `direct` reaches the same vault without the fault. `check`: done behind the fault as well. */
  async function vaultBehind(fault: Fault, { bucket = BUCKET, check = true, ...more }: Partial<S3Config> & { check?: boolean } = {}): Promise<{ vault: Vault; direct: Vault; proxy: S3Proxy; prefix: string }> {
    const prefix = `f${(folder += 1)}`;
    const direct = openS3Vault(s3.settings(bucket, { prefix, ...more }));
    await direct.check();
    const proxy = await startS3Proxy(s3.port, fault);
    const vault = openS3Vault(s3.settings(bucket, { prefix, endpoint: proxy.url, ...more }));
    opened.push(direct, vault, { close: () => proxy.stop() });
    if (check) await vault.check();
    return { vault, direct, proxy, prefix };
  }

  async function uploadTo(vault: Vault, name: string, content: Buffer): Promise<void> {
    const upload = await vault.upload(name);
    await pipeline(Readable.from([content]), upload.stream);
    await upload.commit();
  }

  /** Small and large objects are written once, and come back whole and in part. */
  async function works(vault: Vault, direct: Vault): Promise<void> {
    const content = randomBytes(18 * MIB);
    await vault.put('lab/small', 'small');
    await uploadTo(vault, 'lab/large.gpg', content);
    await assert.rejects(vault.put('lab/small', 'other'), isError('Conflict', /never rewritten/));
    await assert.rejects(uploadTo(vault, 'lab/large.gpg', Buffer.alloc(18 * MIB)), isError('Conflict', /never rewritten/));
    for (const door of [vault, direct]) {
      assert.equal((await door.readAll('lab/small', 100)).toString(), 'small');
      assert.ok((await collect(await door.read('lab/large.gpg'))).equals(content));
      assert.ok((await collect(await door.read('lab/large.gpg', { offset: 9 * MIB, length: 3 * MIB }))).equals(content.subarray(9 * MIB, 12 * MIB)));
      assert.ok((await collect(await door.read('lab/large.gpg', { offset: 17 * MIB }))).equals(content.subarray(17 * MIB)));
    }
    assert.deepEqual(await names(vault, 'lab/'), ['lab/large.gpg', 'lab/small']);
    assert.equal((await vault.stat('lab/large.gpg'))?.size, content.length);
  }

  async function leftovers(prefix: string): Promise<string[]> {
    const { Uploads = [] } = await s3.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: `${prefix}/` }));
    const { Contents = [] } = await s3.client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${prefix}/.` }));
    return [...Uploads, ...Contents].map(({ Key }) => Key!);
  }

  it('that answers without Content-Length is read to the end', async () => {
    const { vault, direct } = await vaultBehind({ drop: (request) => (isGet(request) ? ['content-length'] : []) });
    await works(vault, direct);
    await assert.rejects(vault.readAll('lab/large.gpg', 1000), isError('IntegrityMismatch', /more than the 1000/));
  });

  it('that answers without Content-Length, also to HEAD, and without Content-Range: sizes come from the listing', async () => {
    const { vault, direct } = await vaultBehind({ drop: ({ method }) => (method === 'GET' || method === 'HEAD' ? ['content-length', 'content-range'] : []) });
    await works(vault, direct);
  });

  it('that answers without Content-Length and is cut: what came is not taken for the whole', async () => {
    const { vault, direct } = await vaultBehind({
      answer: (request, response) => isGet(request) && request.url!.includes('/cut') && (response.writeHead(200, { etag: '"x"' }).end(randomBytes(MIB)), true),
    });
    await direct.put('lab/cut', randomBytes(2 * MIB));
    await assert.rejects(collect(await vault.read('lab/cut')), isError('VaultUnavailable', new RegExp(`ended after ${MIB} of ${2 * MIB} bytes`)));
  });

  it('that sends whole objects when it is asked for a part: the part is cut out', async () => {
    const { vault, direct } = await vaultBehind({ strip: ['range'], keys: OWNER });
    await works(vault, direct);
  });

  it('that lets no HEAD through: sizes come from the listing', async () => {
    const { vault, direct } = await vaultBehind({ answer: ({ method }, response) => method === 'HEAD' && page(response, 405) });
    await direct.put('lab/x', 'xyz');
    assert.equal((await vault.stat('lab/x'))?.size, 3);
    assert.equal(await vault.stat('lab/'.concat('y')), null);
  });

  for (const [status, code, text] of [[400, 'InvalidArgument', 'Unsupported header x-amz-checksum-sha256'], [501, 'NotImplemented', 'A header you provided implies functionality that is not implemented']] as const) {
    it(`that refuses x-amz-checksum-sha256 (${status}) gets Content-MD5 instead, and the vault says so`, async () => {
      let md5 = 0;
      const refuse: Fault['answer'] = ({ headers }, response) => {
        if (headers['content-md5'] !== undefined) md5 += 1;
        const isNewer = Object.keys(headers).some((name) => /^x-amz-(checksum|sdk-checksum)/.test(name));
        return isNewer && (response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code><Message>${text}</Message></Error>`), true);
      };
      const { vault, direct } = await vaultBehind({ answer: refuse });
      assert.match(vault.description, /which takes no x-amz-checksum-sha256: Content-MD5 is sent instead/);
      await works(vault, direct);
      assert.ok(md5 >= 5, `${md5} requests had Content-MD5`);
    });
  }

  it('that refuses x-amz-checksum-sha256: locks are renewed with Content-MD5, and an upload without a check before works as well', async () => {
    const refuse: Fault['answer'] = ({ headers }, response) => Object.keys(headers).some((name) => /^x-amz-(checksum|sdk-checksum)/.test(name)) && s3Fault(response, 400, 'InvalidRequest');
    const { vault } = await vaultBehind({ answer: refuse }, { bucket: 'locked', objectLock: { mode: 'governance', days: 1 }, check: false });
    await uploadTo(vault, 'lab/large.gpg', Buffer.alloc(9 * MIB));
    const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3 * 86_400_000);
    assert.deepEqual(await vault.extendRetention('lab/large.gpg', until), until);
  });

  it('that refuses both checksums is written to under its signatures alone, and a changed body is still refused', async () => {
    const refuse: Fault['answer'] = ({ headers }, response) => Object.keys(headers).some((name) => /^x-amz-(checksum|sdk-checksum)|^content-md5$/.test(name)) && s3Fault(response, 400, 'InvalidArgument');
    const { vault, direct } = await vaultBehind({ answer: refuse, flip: ({ method, url = '' }) => method === 'PUT' && url.includes('/flipped') });
    assert.match(vault.description, /signatures alone protect what is sent/);
    await works(vault, direct);
    await assert.rejects(vault.put('lab/flipped', 'x'), isError('Refused', /XAmzContentSHA256Mismatch/));
  });

  it('behind a proxy that takes 6 MiB: parts become smaller', async () => {
    const { vault, direct, proxy } = await vaultBehind({ answer: ({ headers }, response) => Number(headers['content-length']) > 6 * MIB && page(response, 413) });
    assert.match(vault.description, /takes no bodies of 8 MiB: parts have 5 MiB/);
    await works(vault, direct);
    assert.ok(proxy.calls.filter((call) => call.includes('large.gpg?partNumber=')).length >= 4);
  });

  it('behind a proxy that takes 1 MiB: the check names its limit, and so does a write', async () => {
    const { vault } = await vaultBehind({ answer: ({ headers }, response) => Number(headers['content-length']) > MIB && page(response, 413) }, { check: false });
    const isLimit = (error: unknown): boolean => isError('Refused', /takes no body of this size \(413\)/)(error) && /client_max_body_size/.test((error as { remedy: string }).remedy);
    await assert.rejects(vault.check(), isLimit);
    await assert.rejects(vault.put('lab/x', 'x'.repeat(2 * MIB)), isLimit);
  });

  for (const [what, code] of [['InternalError', 'InternalError'], ['SlowDown', 'SlowDown']] as const) {
    it(`that completes an upload with 200 and ${what} inside, and has not done it: tried again`, async () => {
      let errors = 0;
      const { vault, prefix } = await vaultBehind({ answer: (request, response) => isComplete(request) && request.url!.includes('large') && (errors += 1) === 1 && s3Fault(response, 200, code) });
      await uploadTo(vault, 'lab/large.gpg', Buffer.alloc(18 * MIB));
      assert.equal(errors, 2);
      assert.equal((await vault.stat('lab/large.gpg'))?.size, 18 * MIB);
      assert.deepEqual(await leftovers(prefix), []);
    });

    it(`that completes an upload with 200 and ${what} inside, and has done it all the same: known as its own`, async () => {
      let errors = 0;
      const { vault, prefix } = await vaultBehind({ answerAfter: (request, response) => isComplete(request) && request.url!.includes('large') && (errors += 1) === 1 && s3Fault(response, 200, code) });
      await uploadTo(vault, 'lab/large.gpg', Buffer.alloc(18 * MIB));
      assert.ok(errors >= 2);
      assert.deepEqual(await leftovers(prefix), []);
    });
  }

  for (const [what, answer] of [
    ['an error inside 200', (response: ServerResponse) => s3Fault(response, 200, 'InternalError')], ['nothing', (response: ServerResponse) => page(response, 200, '')],
    ['a page of a gateway', (response: ServerResponse) => page(response, 504)], ['a log-in page', (response: ServerResponse) => page(response, 200)],
  ] as const) {
    it(`whose answer to a write is always ${what}, although it is done: known as its own`, async () => {
      const { vault } = await vaultBehind({ answerAfter: (request, response) => (isComplete(request) || request.method === 'PUT') && request.url!.includes('/lab/') && !request.url!.includes('partNumber') && answer(response) });
      await vault.put('lab/small', 'x');
      await uploadTo(vault, 'lab/large.gpg', Buffer.alloc(9 * MIB));
      assert.deepEqual(await names(vault, 'lab/'), ['lab/large.gpg', 'lab/small']);
    });

    it(`whose answer to a write is always ${what}, and nothing is done: that is no success`, async () => {
      const { vault, prefix } = await vaultBehind({ answer: (request, response) => (isComplete(request) || request.method === 'PUT') && request.url!.includes('/lab/') && !request.url!.includes('partNumber') && answer(response) });
      await assert.rejects(vault.put('lab/small', 'x'), isError('VaultUnavailable', /cannot write lab\/small/));
      await assert.rejects(uploadTo(vault, 'lab/large.gpg', Buffer.alloc(9 * MIB)), isError('VaultUnavailable', /cannot write lab\/large/));
      assert.deepEqual(await names(vault, 'lab/'), []);
      assert.deepEqual(await leftovers(prefix), []);
    });
  }

  it('that has lost the parts of an upload says so, and what is tried again is written', async () => {
    let errors = 0;
    const { vault } = await vaultBehind({ answer: (request, response) => isComplete(request) && request.url!.includes('large') && (errors += 1) === 1 && s3Fault(response, 400, 'InvalidPart') });
    await assert.rejects(uploadTo(vault, 'lab/large.gpg', Buffer.alloc(9 * MIB)), isError('VaultUnavailable', /has lost a part of an upload \(InvalidPart\)/));
    await uploadTo(vault, 'lab/large.gpg', Buffer.alloc(9 * MIB));
  });

  it('that gives parts no ETag is named', async () => {
    const { vault } = await vaultBehind({ drop: ({ method, url = '' }) => (method === 'PUT' && url.includes('/lab/') ? ['etag'] : []) });
    await vault.put('lab/small', 'x');
    await assert.rejects(uploadTo(vault, 'lab/large.gpg', Buffer.alloc(9 * MIB)), isError('VaultUnavailable', /a part without ETag/));
  });

  for (const [what, body, type] of [['a log-in page', '<!doctype html><p>Log in<br>', 'text/html'], ['nothing', '', 'application/xml'], ['well-formed XML of something else', '<feed/>', 'application/xml']] as const) {
    it(`in whose place something answers 200 and ${what} is not taken for an empty vault`, async () => {
      let isOn = false;
      const { vault, direct } = await vaultBehind({ answer: (_request, response) => isOn && page(response, 200, body, type) });
      await direct.put('lab/x', 'x');
      isOn = true;
      await assert.rejects(names(vault, ''), isError('VaultUnavailable', /no S3 server/));
      await assert.rejects(vault.stat('lab/x'), isError('VaultUnavailable', /no S3 server/));
      await assert.rejects(vault.readAll('lab/x', 10), isError('VaultUnavailable', /no S3 server/));
      await assert.rejects(vault.check(), isError('VaultUnavailable', /no S3 server/));
    });
  }

  for (const [status, kind, sentence] of [[502, 'VaultUnavailable', /no S3 server: 502 "413 Request Entity/], [503, 'Busy', /slow down \(503\)/], [302, 'InvalidInput', /another region or at another address/], [307, 'InvalidInput', /another address/], [400, 'VaultUnavailable', /no S3 server: 400/], [404, 'NotFound', /not there/]] as const) {
    it(`before which a proxy answers ${status} with a page of its own says so`, async () => {
      const { vault } = await vaultBehind({ answer: ({ url = '' }, response) => url.includes('/lab/') && page(response, status) });
      await assert.rejects(vault.readAll('lab/x', 10), isError(kind, sentence));
    });
  }

  it('of another region names it', async () => {
    const { vault } = await vaultBehind({ answer: ({ url = '' }, response) => url.includes('/lab/') && s3Fault(response, 301, 'PermanentRedirect') });
    await assert.rejects(vault.put('lab/x', 'x'), isError('InvalidInput', /another region or at another address \(PermanentRedirect\)/));
  });

  it('whose clock differs by more than it bears is signed for with its own time', async () => {
    const { vault } = await vaultBehind({ answer: ({ headers, url = '' }, response) => {
      const isFarOff = Math.abs(Date.parse(String(headers['x-amz-date']).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')) - (Date.now() + 3_600_000)) > 900_000;
      if (!url.includes('/ahead') || !isFarOff) return url.includes('/ahead') && (response.writeHead(200, { etag: '"x"', 'content-length': 1, date: new Date(Date.now() + 3_600_000).toUTCString() }).end('x'), true);
      response.setHeader('date', new Date(Date.now() + 3_600_000).toUTCString());
      return s3Fault(response, 403, 'RequestTimeTooSkewed');
    } });
    assert.equal((await vault.readAll('lab/ahead', 10)).toString(), 'x');
  });

  it('that knows listings of the first form only is listed page by page', async () => {
    for (const fault of [
      // Says so.
      { answer: (request: IncomingMessage, response: ServerResponse) => isList(request) && s3Fault(response, 501, 'NotImplemented') },
      // Takes the second form for the first: no token leads to the next page.
      { answer: (request: IncomingMessage, response: ServerResponse) => {
        if (!isList(request) || !request.url!.includes('many')) return false;
        const item = (n: number): string => `<Contents><Key>f${folder}/many/${n}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`;
        return page(response, 200, `<?xml version="1.0"?><ListBucketResult><Name>${BUCKET}</Name><IsTruncated>true</IsTruncated>${item(1)}${item(2)}</ListBucketResult>`, 'application/xml');
      } },
    ] satisfies Fault[]) {
      const { vault, direct } = await vaultBehind(fault);
      for (const n of [1, 2, 3, 4]) await direct.put(`many/${n}`, 'x');
      assert.deepEqual(await names(vault, 'many/'), ['many/1', 'many/2', 'many/3', 'many/4']);
      assert.deepEqual(await names(vault, 'none/'), []);
    }
  });

  it('that gives the same page of a listing again and again is refused, not read for ever', async () => {
    const { vault } = await vaultBehind({ answer: (request, response) => isList(request) && request.url!.includes('many') && page(response, 200, `<ListBucketResult><Name>${BUCKET}</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>f${folder}/many/1</Key><Size>1</Size></Contents></ListBucketResult>`, 'application/xml') });
    await assert.rejects(names(vault, 'many/'), isError('Refused', /does not list names in order/));
  });

  it('that lists what was written only later is found out by the check', async () => {
    const { vault } = await vaultBehind({ answer: (request, response) => isList(request) && /probe-/.test(request.url!) && page(response, 200, `<ListBucketResult><Name>${BUCKET}</Name><IsTruncated>false</IsTruncated></ListBucketResult>`, 'application/xml') }, { check: false });
    await assert.rejects(vault.check(), isError('Refused', /does not list what was written/));
  });

  it('that removes nothing, or says of what is gone that it is not found', async () => {
    const keeping = await vaultBehind({ answer: ({ method, url = '' }, response) => method === 'DELETE' && url.includes('/probe-') && !url.includes('drydock-tmp') && (response.writeHead(204).end(), true) }, { check: false });
    await assert.rejects(keeping.vault.check(), isError('Refused', /still shows what was removed/));
    const strict = await vaultBehind({ answer: ({ method, url = '' }, response) => method === 'DELETE' && url.includes('/gone') && s3Fault(response, 404, 'NoSuchKey') });
    await strict.vault.remove('lab/gone');
  });
});
