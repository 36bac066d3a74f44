import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash, createPrivateKey, createSign, randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { connectRegistry } from '../../adapters/registry/client';
import { schema1Payload } from '../../adapters/registry/digest';
import type { Registry } from '../../adapters/registry/registry';
import { failure } from '../helpers/failure';
import { httpsServer, sendJson, type TestServer } from '../helpers/https-server';
import { TestCa, type KeyPair } from '../helpers/pki';

const LOGIN = { username: 'admin', password: 'right' };
const sha256 = (content: Buffer | string) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

describe('the registry API of a real CNCF Distribution with token authentication', function () {
  this.timeout(60_000);
  let dir: string;
  let ca: TestCa;
  let tokens: TestServer;
  let distribution: ChildProcess;
  let url: string;
  let registry: Registry;
  // Compressed, so that skopeo sends it as it is.
  const layer = gzipSync(randomBytes(3 * 1024 * 1024));
  const config = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');

  before(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'drydock-registry-'));
    ca = new TestCa();
    const pair = ca.issue(['IP:127.0.0.1']);
    tokens = await tokenServer(pair);
    const port = await freePort();
    url = `https://127.0.0.1:${port}`;
    distribution = startDistribution(dir, port, pair, `${tokens.url}/auth/token`);
    await answering(port);
    await pushImage(dir, ca, port, config, layer);
    registry = connectRegistry({ url, caFile: ca.caFile, ...LOGIN });
  });
  after(async () => {
    await registry?.close();
    distribution?.kill();
    await tokens?.close();
    ca.remove();
    rmSync(dir, { recursive: true, force: true });
  });

  const blobPath = (digest: string) => path.join(dir, 'data/docker/registry/v2/blobs/sha256', digest.slice(7, 9), digest.slice(7), 'data');

  it('gives a manifest by tag and by digest, checked against its digest', async () => {
    const byTag = await registry.manifest('acme/app', 'v1');
    assert.equal(byTag.digest, sha256(byTag.body));
    assert.equal(byTag.mediaType, 'application/vnd.oci.image.manifest.v1+json');
    assert.deepEqual((await registry.manifest('acme/app', byTag.digest)).body, byTag.body);
  });

  it('reads a whole blob, checks its digest and tells its size', async () => {
    assert.equal(await registry.checkBlob('acme/app', sha256(layer)), layer.length);
    assert.equal(await registry.checkBlob('acme/app', sha256(config)), config.length);
  });

  it('asks for one token for a repository and uses it again', async () => {
    const fresh = connectRegistry({ url, caFile: ca.caFile, ...LOGIN });
    const before = tokens.calls.length;
    await fresh.manifest('acme/app', 'v1');
    await fresh.checkBlob('acme/app', sha256(config));
    assert.equal(tokens.calls.length, before + 1);
    await fresh.close();
  });

  it('says what does not exist', async () => {
    assert.equal((await failure(registry.manifest('acme/app', 'v9'), 'NotFound')).details?.code, 'MANIFEST_UNKNOWN');
    assert.equal((await failure(registry.checkBlob('acme/app', sha256('nothing')), 'NotFound')).details?.code, 'BLOB_UNKNOWN');
    await failure(registry.checkBlob('acme/app', 'latest'), 'InvalidInput');
  });

  it('says that the password is wrong, and that a repository is not ours to pull', async () => {
    const wrong = connectRegistry({ url, caFile: ca.caFile, username: 'admin', password: 'wrong' });
    await failure(wrong.manifest('acme/app', 'v1'), 'AuthRejected');
    await wrong.close();
    await failure(registry.manifest('forbidden/app', 'v1'), 'NotPermitted');
  });

  it('refuses a blob and a manifest that are damaged on disk', async () => {
    const damaged = Buffer.from(layer);
    damaged[1_000_000]! ^= 1;
    writeFileSync(blobPath(sha256(layer)), damaged);
    const error = await failure(registry.checkBlob('acme/app', sha256(layer)), 'IntegrityMismatch');
    assert.ok(error.message.includes(sha256(damaged)));
    writeFileSync(blobPath(sha256(layer)), layer);
    const { digest, body } = await registry.manifest('acme/app', 'v1');
    writeFileSync(blobPath(digest), body.toString().replace('"size":', '"size" :'));
    const broken = await registry.manifest('acme/app', digest).then(() => undefined, (reason: unknown) => reason as Error);
    assert.ok(broken !== undefined, 'a damaged manifest was taken for a good one');
    writeFileSync(blobPath(digest), body);
  });

  it('says that the registry cannot be reached', async () => {
    const nobody = connectRegistry({ url: 'https://127.0.0.1:9', caFile: ca.caFile, ...LOGIN });
    await failure(nobody.manifest('acme/app', 'v1'), 'RegistryUnavailable');
    await nobody.close();
  });
});

describe('what a registry may answer', function () {
  this.timeout(20_000);
  let ca: TestCa;
  before(() => (ca = new TestCa()));
  after(() => ca.remove());

  it('uses basic authentication where the registry asks for it', async () => {
    const server = await httpsServer(ca.issue(['IP:127.0.0.1']), (request, response) => {
      const right = request.headers.authorization === `Basic ${Buffer.from('admin:right').toString('base64')}`;
      if (right) sendJson(response, 200, { schemaVersion: 2 });
      else sendJson(response, 401, {}, { 'www-authenticate': 'Basic realm="registry"' });
    });
    const registry = connectRegistry({ url: server.url, caFile: ca.caFile, ...LOGIN });
    assert.equal((await registry.manifest('a/b', 'v1')).digest, sha256('{"schemaVersion":2}'));
    await Promise.all([registry.close(), server.close()]);
  });

  it('does not send the login to another host that a blob is redirected to', async () => {
    const seen: (string | undefined)[] = [];
    const store = await httpsServer(ca.issue(['IP:127.0.0.1']), (request, response) => {
      seen.push(request.headers.authorization);
      response.end('blob');
    });
    const server = await httpsServer(ca.issue(['IP:127.0.0.1']), (request, response) => {
      if (request.headers.authorization === undefined) sendJson(response, 401, {}, { 'www-authenticate': 'Basic realm="registry"' });
      else response.writeHead(307, { location: `${store.url}/signed?key=1` }).end();
    });
    const registry = connectRegistry({ url: server.url, caFile: ca.caFile, ...LOGIN });
    assert.equal(await registry.checkBlob('a/b', sha256('blob')), 4);
    assert.deepEqual(seen, [undefined]);
    await Promise.all([registry.close(), server.close(), store.close()]);
  });

  it('fails as unavailable, not as damaged, when a blob breaks off on the way', async () => {
    const server = await httpsServer(ca.issue(['IP:127.0.0.1']), (request, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('half', () => request.socket.destroy());
    });
    const registry = connectRegistry({ url: server.url, caFile: ca.caFile, ...LOGIN });
    await failure(registry.checkBlob('a/b', sha256('blob')), 'RegistryUnavailable');
    await Promise.all([registry.close(), server.close()]);
  });

  it('computes the digest of a signed schema 1 manifest over what was signed', () => {
    const payload = '{\n   "schemaVersion": 1,\n   "name": "a/b"\n}';
    const formatLength = payload.lastIndexOf('\n}');
    const header = Buffer.from(JSON.stringify({ formatLength, formatTail: Buffer.from('\n}').toString('base64url') })).toString('base64url');
    const signed = `${payload.slice(0, formatLength)},\n   "signatures": [{"protected": "${header}"}]\n}`;
    assert.equal(schema1Payload(Buffer.from(signed))?.toString(), payload);
    assert.equal(schema1Payload(Buffer.from('{"schemaVersion":2}')), null);
  });
});

/** Gives tokens signed with the certificate that Distribution trusts; `forbidden/*` gets one without rights. */
function tokenServer(pair: KeyPair): Promise<TestServer> {
  return httpsServer(pair, (request, response) => {
    if (request.headers.authorization !== `Basic ${Buffer.from('admin:right').toString('base64')}`) return sendJson(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'no' }] });
    const query = new URL(request.url ?? '', 'https://x').searchParams;
    const access = query.getAll('scope').flatMap((scope) => {
      const [type, name, actions] = scope.split(':');
      return name?.startsWith('forbidden/') === true ? [] : [{ type, name, actions: actions?.split(',') }];
    });
    return sendJson(response, 200, { token: jwt(signing, { iss: 'test', sub: 'admin', aud: 'registry', access }), expires_in: 300 });
  });
}

const signing = rsaCertificate();

function jwt(signer: { key: string; cert: string }, claims: object): string {
  const now = Math.floor(Date.now() / 1000);
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const head = encode({ alg: 'RS256', typ: 'JWT', x5c: [new X509Certificate(signer.cert).raw.toString('base64')] });
  const text = `${head}.${encode({ ...claims, iat: now, nbf: now - 5, exp: now + 300, jti: randomBytes(8).toString('hex') })}`;
  return `${text}.${createSign('sha256').update(text).sign(createPrivateKey(signer.key)).toString('base64url')}`;
}

function rsaCertificate(): { key: string; cert: string } {
  const both = execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=tokens', '-keyout', '-', '-out', '-'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const part = (kind: string) => new RegExp(`-----BEGIN ${kind}-----[^-]+-----END ${kind}-----`).exec(both)![0];
  return { key: part('PRIVATE KEY'), cert: part('CERTIFICATE') };
}

function startDistribution(dir: string, port: number, pair: KeyPair, realm: string): ChildProcess {
  const file = (name: string, text: string) => {
    writeFileSync(path.join(dir, name), text);
    return path.join(dir, name);
  };
  const settings = {
    version: '0.1', log: { level: 'error' }, storage: { filesystem: { rootdirectory: path.join(dir, 'data') } },
    http: { addr: `127.0.0.1:${port}`, tls: { certificate: file('tls.pem', pair.cert), key: file('tls.key', pair.key) } },
    auth: { token: { realm, service: 'registry', issuer: 'test', rootcertbundle: file('signing.pem', signing.cert) } },
  };
  // JSON is YAML.
  return spawn('docker-registry', ['serve', file('config.yml', JSON.stringify(settings))], { stdio: 'ignore' });
}

/** Writes an OCI layout by hand and pushes it with skopeo. */
async function pushImage(dir: string, ca: TestCa, port: number, config: Buffer, layer: Buffer): Promise<void> {
  const layout = path.join(dir, 'image');
  mkdirSync(path.join(layout, 'blobs', 'sha256'), { recursive: true });
  const add = (content: Buffer, mediaType: string) => {
    const digest = sha256(content);
    writeFileSync(path.join(layout, 'blobs', 'sha256', digest.slice(7)), content);
    return { mediaType, digest, size: content.length };
  };
  const manifest = Buffer.from(JSON.stringify({
    schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: add(config, 'application/vnd.oci.image.config.v1+json'), layers: [add(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')],
  }));
  writeFileSync(path.join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(path.join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...add(manifest, 'application/vnd.oci.image.manifest.v1+json'), annotations: { 'org.opencontainers.image.ref.name': 'v1' } }] }));
  const certs = path.join(dir, 'certs');
  mkdirSync(certs);
  writeFileSync(path.join(certs, 'ca.crt'), ca.cert);
  // Not the synchronous form: this process has to answer for the tokens meanwhile.
  await promisify(execFile)('skopeo', ['--insecure-policy', 'copy', '--dest-cert-dir', certs, '--dest-creds', 'admin:right', `oci:${layout}:v1`, `docker://127.0.0.1:${port}/acme/app:v1`], { env: { ...process.env, SSL_CERT_FILE: ca.caFile } });
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answering(port: number): Promise<void> {
  for (let n = 0; n < 100; n++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
    await sleep(100);
  }
  throw new Error(`nothing listens on ${port}`);
}
