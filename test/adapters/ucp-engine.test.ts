import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { loadBundle, replacedNote, saveBundle } from '../../adapters/ucp/bundle';
import { connectUcp } from '../../adapters/ucp/client';
import { connectUcpEngine, type UcpEngine } from '../../adapters/ucp/engine';
import { firstAnswer } from '../../adapters/ucp/first-answer';
import { clusterSchema, type ClusterConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { zip } from '../../lab/ucp/zip';
import { failure } from '../helpers/failure';
import { freePort } from '../helpers/free-port';
import { httpsServer, sendJson, type TestServer } from '../helpers/https-server';
import { TestCa } from '../helpers/pki';

const ID = 'UCP:ONE';

interface Manners {
  authority?: TestCa;
  /** What the server does with a client certificate that its authority has not signed. */
  stranger?: '401' | 'hangUp';
  id?: string;
}

describe('the Docker API of UCP', function () {
  this.timeout(20_000);
  let dir: string;
  let ca: TestCa;
  let other: TestCa;
  const servers: TestServer[] = [];
  let connected: UcpEngine | undefined;
  let fetched = 0;
  let door: ChildProcessByStdio<Writable, Readable, Readable> | undefined;

  before(() => {
    [ca, other] = [new TestCa('UCP'), new TestCa('UCP before')];
  });
  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'drydock-ucp-engine-'));
    writeFileSync(path.join(dir, 'password'), 'right');
    fetched = 0;
  });
  afterEach(async () => {
    connected?.engine.close();
    connected = undefined;
    door?.kill();
    await Promise.all(servers.splice(0).map((server) => server.close()));
    rmSync(dir, { recursive: true, force: true });
  });
  after(() => [ca, other].forEach((each) => each.remove()));

  /** One manager of UCP: login, client bundles, and the Docker API behind client certificates. */
  async function manager({ authority = ca, stranger = '401', id = ID }: Manners = {}): Promise<TestServer> {
    const server = await httpsServer(
      authority.issue(['IP:127.0.0.1']),
      (request, response) => {
        const socket = request.socket as TLSSocket;
        const shown = Object.keys(socket.getPeerCertificate()).length > 0;
        const url = new URL(request.url ?? '', 'https://ucp');
        if (shown && !socket.authorized) return stranger === 'hangUp' ? void socket.destroy() : sendJson(response, 401, { message: 'unauthorized' });
        if (url.pathname === '/auth/login') return sendJson(response, 200, { auth_token: 'session' });
        if (url.pathname === '/info') return sendJson(response, 200, { ID: id, ServerVersion: 'ucp/3.2.7' });
        if (!shown && url.pathname === '/api/clientbundle') {
          fetched++;
          const pair = ca.issue([], { days: 100 });
          const files = { 'ca.pem': ca.cert, 'cert.pem': pair.cert, 'key.pem': pair.key, 'env.sh': `export DOCKER_HOST=tcp://127.0.0.1:${server.port}\n` };
          return void response.end(zip(Object.entries(files).map(([name, text]) => ({ name, content: Buffer.from(text) }))));
        }
        return url.pathname.endsWith('/version') ? sendJson(response, 200, { Version: 'ucp/3.2.7' }) : sendJson(response, 404, {});
      },
      { ca: authority.cert, requestCert: true, rejectUnauthorized: false },
    );
    servers.push(server);
    return server;
  }

  /** TLS as UCP speaks it: it says by an alert that it does not know a certificate. */
  async function strictDoor(): Promise<number> {
    const { cert, key } = ca.issue(['IP:127.0.0.1']);
    const [certFile, keyFile] = [path.join(dir, 'strict.pem'), path.join(dir, 'strict.key')];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    door = spawn('openssl', ['s_server', '-accept', '127.0.0.1:0', '-naccept', '9', '-cert', certFile, '-key', keyFile, '-CAfile', ca.caFile, '-Verify', '1', '-verify_return_error']);
    let said = '';
    for await (const chunk of door.stdout as AsyncIterable<Buffer>) if (/ACCEPT .*:\d+/.test((said += chunk.toString()))) break;
    return Number(/ACCEPT .*:(\d+)/.exec(said)?.[1]);
  }

  const config = (urls: string[], extra: object = {}): ClusterConfig['ucp'] =>
    clusterSchema.shape.ucp.parse({ urls, caFile: ca.caFile, username: 'admin', password: `file:${dir}/password`, ...extra });

  async function keepBundle(authority: TestCa, port: number, signer = authority): Promise<string> {
    const directory = path.join(dir, 'bundles', 'lab');
    await saveBundle(directory, { ca: authority.cert, ...signer.issue([], { days: 100 }), dockerHost: `tcp://127.0.0.1:${port}` });
    return directory;
  }

  async function connect(settings: ClusterConfig['ucp']): Promise<UcpEngine> {
    const ucp = await connectUcp(settings);
    try {
      connected = await connectUcpEngine({ clusterName: 'lab', config: settings, stateDir: dir, ucp });
      return connected;
    } finally {
      await ucp.close();
    }
  }

  it('is reached at another manager of ucp.urls when the one that the bundle names is gone', async () => {
    const [gone, alive] = [await freePort(), await manager()];
    await keepBundle(ca, gone);
    const { engine, where, note } = await connect(config([`https://127.0.0.1:${gone}`, alive.url]));
    assert.deepEqual([where, note, fetched], [`127.0.0.1:${alive.port}`, undefined, 0]);
    assert.equal((await engine.info()).clusterId, ID);
  });

  it('is named as silent, with every address, when no manager answers, and no new bundle is fetched', async () => {
    const [gone, also, alive] = [await freePort(), await freePort(), await manager()];
    await keepBundle(ca, gone);
    const ucp = await connectUcp(config([alive.url]));
    const error = await failure(connectUcpEngine({ clusterName: 'lab', config: config([`https://127.0.0.1:${gone}`, `https://127.0.0.1:${also}`]), stateDir: dir, ucp }), 'EngineUnavailable');
    assert.match(error.message, new RegExp(`no manager of UCP answers: .*127\\.0\\.0\\.1:${gone} .*127\\.0\\.0\\.1:${also} `));
    assert.equal(fetched, 0);
    await ucp.close();
  });

  for (const [stranger, why] of [['alert', /refuses the certificate, ERR_SSL_\w*ALERT/], ['401', /it answers 401/], ['hangUp', /it hangs up on it/]] as const) {
    it(`takes a new bundle in place of a kept one whose key UCP does not know any more (${stranger})`, async () => {
      const login = await manager({ stranger: stranger === 'alert' ? '401' : stranger });
      const directory = await keepBundle(ca, stranger === 'alert' ? await strictDoor() : login.port, other);
      utimesSync(directory, new Date(0), new Date(0));
      const urls = [login.url];
      const { note, engine } = await connect(config(urls));
      assert.match(note ?? '', why);
      assert.match(note ?? '', /kept for lab .* was forgotten, and a new one was fetched/);
      assert.equal((await engine.info()).isUcp, true);
      assert.match((await replacedNote('lab', dir)) ?? '', /^UCP did not take the client bundle that was kept .*; a new one was fetched at \d{4}-/);
      connected?.engine.close();
      assert.equal((await connect(config(urls))).note, undefined);
      assert.equal(fetched, 1);
    });
  }

  it('takes a new bundle when UCP has another authority than the kept one knows, or is another UCP', async () => {
    const server = await manager();
    await keepBundle(other, server.port);
    assert.match((await connect(config([server.url]))).note ?? '', /another authority has signed UCP's own certificate/);
    const before = await manager({ id: 'UCP:BEFORE', authority: other });
    await keepBundle(other, before.port);
    const { note, where } = await connect(config([server.url]));
    assert.match(note ?? '', /it is of another UCP/);
    assert.equal(where, `127.0.0.1:${server.port}`);
  });

  it('does not fetch a bundle again and again for a server that only hangs up', async () => {
    const server = await manager({ stranger: 'hangUp' });
    await keepBundle(ca, server.port, other);
    await failure(connect(config([server.url])), 'EngineUnavailable');
    assert.equal(fetched, 0);
  });

  it('names the configured bundle that UCP refuses, and fetches none in its place', async () => {
    const server = await manager();
    const bundle = path.join(dir, 'mine');
    await saveBundle(bundle, { ca: ca.cert, ...other.issue([], { days: 100 }), dockerHost: `tcp://127.0.0.1:${server.port}` });
    const error = await failure(connect(config([server.url], { bundle })), 'AuthRejected');
    assert.equal(error.message, `UCP does not take the client bundle ${bundle} (it answers 401)`);
    assert.match(error.remedy ?? '', /download a new one .* or leave ucp\.bundle out/);
    assert.equal(fetched, 0);
    assert.ok(await loadBundle(bundle));
  });
});

describe('the first answer of several', () => {
  const gone = (name: string) => () => Promise.reject(new DrydockError('UcpUnavailable', name));
  const failed = (errors: DrydockError[]) => new Error(errors.map(({ message }) => message).join(' '));

  it('does not wait for one that is silent, and takes its late answer back', async () => {
    let late = '';
    let answer: (value: string) => void = () => undefined;
    const silent = () => new Promise<string>((resolve) => (answer = resolve));
    assert.equal(await firstAnswer([silent, () => Promise.resolve('second')], { headStartMs: 5, failed, late: (value) => (late = value) }), 'second');
    answer('first');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(late, 'first');
  });

  it('tells all failures in order, stops at a final one, and ends with the signal', async () => {
    await assert.rejects(firstAnswer([gone('a'), gone('b')], { failed }), { message: 'a b' });
    let asked = false;
    await assert.rejects(firstAnswer([gone('a'), () => Promise.resolve(void (asked = true))], { failed, isFinal: () => true }), { message: 'a' });
    assert.equal(asked, false);
    const controller = new AbortController();
    const waiting = firstAnswer([() => new Promise<string>(() => undefined)], { failed, signal: controller.signal });
    controller.abort(new Error('cancelled'));
    await assert.rejects(waiting, /cancelled/);
  });
});
