import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { registryNow } from '../../activities/backup/replicas';
import { connectDtr } from '../../adapters/dtr/client';
import type { Cron, Dtr } from '../../adapters/dtr/dtr';
import { failure } from '../helpers/failure';
import { bodyOf, httpsServer, sendJson, type TestServer } from '../helpers/https-server';
import { TestCa, type KeyPair } from '../helpers/pki';

type Route = (url: URL, request: IncomingMessage, response: ServerResponse) => unknown;

/** What the lab's DTR does not do on demand: old paths, many pages, other spellings, refusals. The rest is tried on the lab. */
describe('DTR\'s API', function () {
  this.timeout(20_000);
  let ca: TestCa;
  let pair: KeyPair;
  let server: TestServer;
  let dtr: Dtr;
  let routes: Record<string, Route> = {};

  before(async () => {
    ca = new TestCa();
    pair = ca.issue(['IP:127.0.0.1']);
    server = await httpsServer(pair, (request, response) => {
      const url = new URL(request.url ?? '', 'https://x');
      const route = routes[`${request.method} ${url.pathname}`];
      if (route === undefined) return response.writeHead(404, { 'content-type': 'text/html' }).end('<html>no such page</html>');
      if (request.headers.authorization !== `Basic ${Buffer.from('admin:right').toString('base64')}` && !/ping|health/.test(url.pathname)) {
        return sendJson(response, 401, { errors: [{ code: 'NOT_AUTHENTICATED', message: 'not authenticated' }] });
      }
      return route(url, request, response);
    });
  });
  beforeEach(() => {
    routes = {};
    server.calls.length = 0;
    dtr = connectDtr({ url: server.url, caFile: ca.caFile, username: 'admin', password: 'right' });
  });
  afterEach(() => dtr.close());
  after(async () => {
    await server.close();
    ca.remove();
  });

  const gives = (body: unknown, status = 200): Route => (_url, _request, response) => sendJson(response, status, body);
  const refuses = (status: number, code: string): Route => gives({ errors: [{ code, message: code.toLowerCase() }] }, status);
  const gc: Cron = { id: '1', action: 'gc', schedule: '0 0 1 * * 6', retries: 2, capacityMap: null, parameters: null, deadline: '3h', stopTimeout: '30s', nextRun: '2026-01-01T00:00:00Z' };

  it('finds the paths of 2.2 to 2.4, which end in a slash, and keeps to them', async () => {
    routes['GET /api/v0/crons/'] = gives({ crons: [gc] });
    routes['GET /api/v0/jobs/'] = gives({ jobs: null });
    assert.deepEqual(await dtr.crons(), [gc]);
    assert.deepEqual(await dtr.jobs({}), []);
    assert.deepEqual(server.calls.map((call) => call.split('?')[0]), ['GET /api/v0/crons', 'GET /api/v0/crons/', 'GET /api/v0/jobs/']);
  });

  it('tells a cron that does not exist from a path that does not', async () => {
    routes['GET /api/v0/crons/gc'] = refuses(404, 'NO_SUCH_CRON');
    routes['DELETE /api/v0/crons/gc'] = refuses(404, 'NO_SUCH_CRON');
    assert.equal(await dtr.cron('gc'), null);
    await dtr.deleteCron('gc');
    assert.equal(server.calls.length, 2);
  });

  it('puts a cron back with every field that it had, also one that we do not know', async () => {
    let sent: unknown;
    routes['POST /api/v0/crons'] = async (_url, request, response) => {
      sent = JSON.parse(await bodyOf(request));
      sendJson(response, 202, gc);
    };
    routes['GET /api/v0/crons/gc'] = gives({ ...gc, somethingNew: { a: 1 } });
    await dtr.putCron((await dtr.cron('gc'))!);
    const { id: _id, nextRun: _nextRun, ...kept } = gc;
    assert.deepEqual(sent, { ...kept, somethingNew: { a: 1 } });
  });

  it('reads lists that come in pages to their end, whether the next start is encoded or not', async () => {
    const names = Array.from({ length: 250 }, (_, n) => `repo${String(n).padStart(3, '0')}`);
    for (const encode of [encodeURIComponent, (text: string) => text]) {
      routes['GET /api/v0/repositories'] = (url, _request, response) => {
        const from = Math.max(0, names.findIndex((name) => `acme/${name}` >= (url.searchParams.get('pageStart') ?? '')));
        const size = Number(url.searchParams.get('pageSize'));
        const next = names[from + size];
        const page = names.slice(from, from + size).map((name) => ({ namespace: 'acme', name, visibility: 'public', namespaceAccountID: '7' }));
        sendJson(response, 200, { repositories: page }, next === undefined ? {} : { 'x-next-page-start': encode(`acme/${next}`) });
      };
      const found = await dtr.repositories();
      assert.deepEqual(found.map(({ name }) => name), names);
      assert.equal(found[0]?.namespaceAccountID, '7');
    }
  });

  it('does not turn in a circle when a server names the same page again', async () => {
    routes['GET /api/v0/repositories/acme/app/tags'] = (_url, _request, response) => sendJson(response, 200, [{ name: 'v1', manifest: { digest: 'sha256:1' } }], { 'x-next-page-start': 'v1' });
    assert.deepEqual(await dtr.tags('acme', 'app'), [{ name: 'v1', digest: 'sha256:1' }]);
  });

  it('reads jobs to the end, filters them itself and knows both spellings of their status', async () => {
    const all = Array.from({ length: 230 }, (_, n) => ({ id: `j${n}`, action: n % 2 === 0 ? 'onlinegc' : 'other', status: n === 0 ? 'running' : n === 2 ? 'canceled' : n === 4 ? 'errored' : 'done' }));
    routes['GET /api/v0/jobs'] = (url, _request, response) => {
      const start = Number(url.searchParams.get('start'));
      sendJson(response, 200, { jobs: all.slice(start, start + Number(url.searchParams.get('limit'))) });
    };
    const jobs = await dtr.jobs({ action: 'onlinegc' });
    assert.equal(jobs.length, 115);
    assert.deepEqual(jobs.slice(0, 4).map(({ status }) => status), ['running', 'cancel', 'error', 'done']);
    assert.deepEqual((await dtr.jobs({ running: true })).map(({ id }) => id), ['j0']);
    assert.equal((await dtr.jobs({ limit: 5 })).length, 5);
  });

  it('reads the status of the cluster, also where maps and names are absent', async () => {
    routes['GET /api/v0/meta/cluster_status'] = gives({ replica_health: { abc: 'OK' }, replica_timestamp: { abc: 't' }, replica_readonly: null, rethink_system_tables: {} });
    assert.deepEqual(await dtr.clusterStatus(), { replicaHealth: { abc: 'OK' }, replicaTimestamp: { abc: 't' }, replicaReadonly: {}, gcLockHolder: '' });
  });

  it('says whether it is healthy, and why not, without ever throwing for a server that is down', async () => {
    routes['GET /_ping'] = gives({ Error: 'metadata: no majority', Healthy: false }, 503);
    routes['GET /health'] = gives({ error: '', healthy: true });
    assert.deepEqual(await dtr.ping(), { healthy: false, error: 'metadata: no majority' });
    assert.deepEqual(await dtr.health(), { healthy: true, error: '' });
    const down = connectDtr({ url: 'https://127.0.0.1:9', caFile: ca.caFile, username: 'admin', password: 'right' });
    assert.equal((await down.ping()).healthy, false);
    await failure(down.settings(), 'RegistryUnavailable');
    await down.close();
  });

  it('knows that scanning is not enabled from its being broken', async () => {
    routes['GET /api/v0/imagescan/status'] = refuses(400, 'SCANNING_NOT_ENABLED');
    assert.equal(await dtr.imagescanStatus(), null);
    routes['GET /api/v0/imagescan/status'] = gives({ state: 4, db_version: 9, db_updated_at: '2026-01-01T00:00:00Z', lastDBUpdateFailed: false, lastVulnOverridesDBUpdateFailed: true });
    assert.deepEqual(await dtr.imagescanStatus(), { state: 4, dbVersion: 9, dbUpdatedAt: '2026-01-01T00:00:00Z', lastDbUpdateFailed: false, lastVulnOverridesDbUpdateFailed: true });
  });

  it('uploads a vulnerability database under the part name that the server takes', async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'drydock-dtr-'));
    const file = path.join(dir, 'cve.tar');
    const content = randomBytes(300_000);
    writeFileSync(file, content);
    const parts: string[] = [];
    let received = '';
    routes['PUT /api/v0/imagescan/scan/update'] = async (_url, request, response) => {
      const body = await bodyOf(request);
      assert.equal(body.length, Number(request.headers['content-length']));
      const part = /name="(\w+)"; filename="cve\.tar"/.exec(body)?.[1] ?? '';
      parts.push(part);
      received = body;
      if (part === 'upload') sendJson(response, 200, {});
      else sendJson(response, 400, { errors: [{ code: 'INVALID_PARAMETERS', message: 'no part' }] });
    };
    await dtr.updateVulnerabilityDatabase({ file });
    assert.deepEqual(parts, ['file', 'upload']);
    assert.ok(Buffer.from(received, 'latin1').includes(content));
    assert.match(server.calls[0]!, /online=false/);
    await failure(dtr.updateVulnerabilityDatabase({ file: path.join(dir, 'none') }), 'InvalidInput');
    rmSync(dir, { recursive: true });
  });

  it('tells the certificate that the server shows, also one that nobody trusts', async () => {
    const blind = connectDtr({ url: server.url, username: 'admin', password: 'right' });
    assert.equal(await blind.certificateFingerprint(), new X509Certificate(pair.cert).fingerprint256);
    await failure(blind.settings(), 'TlsRejected');
    await blind.close();
  });

  it('measures how far the server\'s clock is from ours', async () => {
    routes['GET /api/v0/meta/settings'] = (_url, _request, response) => sendJson(response, 200, {}, { date: new Date(Date.now() + 3_600_000).toUTCString() });
    await dtr.settings();
    assert.ok(Math.abs(dtr.clockOffsetMs! - 3_600_000) < 3_000, String(dtr.clockOffsetMs));
    assert.ok(Math.abs((await registryNow(dtr)) - Date.now() - 3_600_000) < 5_000, 'an answer that told it is enough');
  });

  it('does not take our own clock for the registry\'s when no answer told the time', async () => {
    const elsewhere = connectDtr({ url: 'https://127.0.0.1:1', caFile: ca.caFile, username: 'admin', password: 'right' });
    assert.equal((await failure(registryNow(elsewhere), 'RegistryUnavailable')).message.startsWith('no answer of DTR tells the time: '), true);
    await elsewhere.close();
  });

  it('says which login is refused and what the account may not do', async () => {
    routes['GET /api/v0/meta/settings'] = refuses(403, 'NOT_AUTHORIZED');
    await failure(dtr.settings(), 'NotPermitted');
    const wrong = connectDtr({ url: server.url, caFile: ca.caFile, username: 'admin', password: 'hunter2' });
    const error = await failure(wrong.settings(), 'AuthRejected');
    assert.doesNotMatch(`${error.message} ${error.remedy}`, /hunter2/);
    await wrong.close();
  });

  it('says so when something else than DTR answers', async () => {
    routes['GET /api/v0/meta/cluster_status'] = gives({ replica_health: 'fine' });
    await failure(dtr.clusterStatus(), 'RegistryUnavailable');
  });
});
