import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundleFor, engineAddress, loadBundle, parseBundleZip, saveBundle } from '../../adapters/ucp/bundle';
import { connectUcp } from '../../adapters/ucp/client';
import { clusterSchema, type ClusterConfig } from '../../domain/config';
import { zip as writeZip } from '../../lab/ucp/zip';
import { failure } from '../helpers/failure';
import { httpsServer, sendJson, type TestServer } from '../helpers/https-server';
import { TestCa, type KeyPair } from '../helpers/pki';

const ENV = '# UCP Instance ID abc\nexport COMPOSE_TLS_VERSION=TLSv1_2\nexport DOCKER_TLS_VERIFY=1\nexport DOCKER_CERT_PATH="$PWD"\nexport DOCKER_HOST=tcp://ucp.example.com:443\n$(touch /tmp/drydock-must-not-exist)\n';

describe('UCP', function () {
  this.timeout(20_000);
  let dir: string;
  let ca: TestCa;
  let pair: KeyPair;

  before(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'drydock-ucp-'));
    ca = new TestCa();
    pair = ca.issue([], { days: 100 });
    writeFileSync(path.join(dir, 'password'), 'right');
  });
  after(() => {
    rmSync(dir, { recursive: true, force: true });
    ca.remove();
  });

  const config = (extra: object = {}): ClusterConfig['ucp'] =>
    clusterSchema.shape.ucp.parse({ urls: ['https://127.0.0.1:9'], caFile: ca.caFile, username: 'admin', password: `file:${dir}/password`, ...extra });
  const zip = (entries: Record<string, string>): Buffer => writeZip(Object.entries(entries).map(([name, text]) => ({ name, content: Buffer.from(text) })));
  const files = (prefix = ''): Record<string, string> => ({ [`${prefix}ca.pem`]: ca.cert, [`${prefix}cert.pem`]: pair.cert, [`${prefix}key.pem`]: pair.key, [`${prefix}env.sh`]: ENV });

  describe('client bundles', () => {
    it('are read from a zip, whose env.sh is parsed and never run', async () => {
      const bundle = await parseBundleZip(zip(files()));
      assert.deepEqual(bundle, { ca: ca.cert, cert: pair.cert, key: pair.key, dockerHost: 'tcp://ucp.example.com:443' });
      assert.deepEqual(engineAddress(bundle), { host: 'ucp.example.com', port: 443, ca: ca.cert, cert: pair.cert, key: pair.key });
      assert.throws(() => statSync('/tmp/drydock-must-not-exist'));
    });

    it('may lie in sub-folders, and the outermost files count', async () => {
      assert.equal((await parseBundleZip(zip({ 'tls/kubernetes/ca.pem': 'another', ...files('bundle/') }))).ca, ca.cert);
    });

    it('are refused when a name would leave the folder, a file is missing, the address is not one, or it is no zip', async () => {
      for (const name of ['../ca.pem', '/etc/ca.pem', 'a/../../ca.pem']) await failure(parseBundleZip(zip({ ...files(), [name]: 'x' })), 'InvalidInput');
      const { 'key.pem': _key, ...without } = files();
      assert.match((await failure(parseBundleZip(zip(without)), 'InvalidInput')).message, /key\.pem/);
      await failure(parseBundleZip(zip({ ...files(), 'env.sh': 'export DOCKER_HOST=$(hostname)' })), 'InvalidInput');
      await failure(parseBundleZip(Buffer.from('<html>login</html>')), 'InvalidInput');
    });

    it('are kept so that only their owner can read them, and read back the same', async () => {
      const bundle = await parseBundleZip(zip(files()));
      const kept = path.join(dir, 'kept');
      await saveBundle(kept, bundle);
      await saveBundle(kept, bundle);
      assert.deepEqual(await loadBundle(kept), bundle);
      assert.equal(statSync(kept).mode & 0o777, 0o700);
      for (const name of readdirSync(kept)) assert.equal(statSync(path.join(kept, name)).mode & 0o777, 0o600, name);
      assert.deepEqual(readdirSync(dir).filter((name) => name.includes('.new-')), []);
    });

    it('are taken from where the configuration says, as folder or zip, and a missing one is named', async () => {
      const never = { fetchBundle: () => Promise.reject(new Error('fetched')) };
      const zipFile = path.join(dir, 'bundle.zip');
      writeFileSync(zipFile, zip(files()));
      assert.equal((await bundleFor('a', config({ bundle: zipFile }), dir, never)).key, pair.key);
      assert.match((await failure(bundleFor('a', config({ bundle: '/no/such' }), dir, never), 'InvalidInput')).message, /\/no\/such/);
    });

    it('are fetched anew when the kept one is about to end or is torn', async () => {
      const ending = ca.issue([], { days: 0 });
      await saveBundle(path.join(dir, 'bundles', 'old'), { ...(await parseBundleZip(zip(files()))), cert: ending.cert });
      const ucp = { fetchBundle: () => Promise.resolve(zip(files())) };
      assert.equal((await bundleFor('old', config(), dir, ucp)).cert, pair.cert);
      mkdirSync(path.join(dir, 'bundles', 'torn'), { recursive: true });
      writeFileSync(path.join(dir, 'bundles', 'torn', 'ca.pem'), ca.cert);
      assert.equal((await bundleFor('torn', config(), dir, ucp)).cert, pair.cert);
      assert.equal(readFileSync(path.join(dir, 'bundles', 'torn', 'key.pem'), 'utf8'), pair.key);
    });
  });

  describe('the API', () => {
    let server: TestServer;
    let sessions = 0;
    const accounts = Array.from({ length: 250 }, (_, n) => ({ id: `id-${n}`, name: `user${String(n).padStart(3, '0')}`, isOrg: n % 10 === 0, isAdmin: n === 0 }));

    before(async () => {
      server = await httpsServer(ca.issue(['IP:127.0.0.1']), (request, response) => {
        const url = new URL(request.url ?? '', 'https://x');
        if (url.pathname === '/auth/login') return sendJson(response, 200, { auth_token: `session-${++sessions}` });
        if (request.headers.authorization !== `Bearer session-${sessions}`) return sendJson(response, 401, { errors: [{ code: 'NOT_AUTHENTICATED', message: 'session ended' }] });
        if (url.pathname !== '/accounts/') return sendJson(response, 404, {});
        const from = accounts.findIndex(({ name }) => name >= (url.searchParams.get('start') ?? ''));
        const limit = Number(url.searchParams.get('limit'));
        const next = accounts[from + limit]?.name ?? '';
        return sendJson(response, 200, { accounts: accounts.slice(from, from + limit), nextPageStart: next, resourceCount: accounts.length });
      });
    });
    after(() => server.close());

    it('gives all accounts of a list that comes in pages', async () => {
      const ucp = await connectUcp(config({ urls: [server.url] }));
      assert.deepEqual((await ucp.accounts()).map(({ name }) => name), accounts.map(({ name }) => name));
      await ucp.close();
    });

    it('logs in again when the session has ended meanwhile', async () => {
      const ucp = await connectUcp(config({ urls: [server.url] }));
      sessions++;
      assert.equal((await ucp.accounts()).length, 250);
      await ucp.close();
    });
  });
});
