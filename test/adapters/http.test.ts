import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { HttpClient, type Service } from '../../adapters/http/http';
import { connectThroughProxy, proxyFor } from '../../adapters/http/proxy';
import { failure } from '../helpers/failure';
import { httpsServer, sendJson, type TestServer } from '../helpers/https-server';
import { TestCa } from '../helpers/pki';

const SERVICE: Service = { name: 'UCP', unavailable: 'UcpUnavailable', caSetting: 'ucp.caFile', authRemedy: 'check the password' };

describe('HTTPS calls', function () {
  this.timeout(20_000);
  let ca: TestCa;
  let server: TestServer;
  const clients: HttpClient[] = [];
  const client = (url = server.url, tls: ConstructorParameters<typeof HttpClient>[2] = { caFile: ca.caFile }) => {
    const made = new HttpClient(url, SERVICE, tls);
    clients.push(made);
    return made;
  };

  before(async () => {
    ca = new TestCa();
    server = await httpsServer(ca.issue(['IP:127.0.0.1', 'DNS:registry.example.test']), (request, response) => {
      const status = /^\/status\/(\d+)/.exec(request.url ?? '')?.[1];
      if (status !== undefined) return sendJson(response, Number(status), { errors: [{ code: 'SOME_CODE', message: 'what the server says' }] });
      if (request.url === '/silent') return;
      if (request.url === '/torn') return void response.writeHead(200, { 'content-length': '100' }).write('half', () => request.socket.destroy());
      if (request.url === '/html') return void response.end('<html>login</html>');
      return sendJson(response, 200, { host: request.headers.host });
    });
  });
  afterEach(() => Promise.all(clients.splice(0).map((each) => each.close())));
  after(async () => {
    await server.close();
    ca.remove();
  });

  it('speaks with a server whose certificate the given CA signed', async () => {
    assert.deepEqual((await client().json({ path: '/ok' })).json, { host: `127.0.0.1:${server.port}` });
  });

  it('refuses a server whose certificate nobody we trust signed, and names the setting for the CA file', async () => {
    const error = await failure(client(server.url, {}).json({ path: '/ok' }), 'TlsRejected');
    assert.match(error.remedy ?? '', /ucp\.caFile/);
    const other = new TestCa('Other');
    await failure(client(server.url, { ca: other.cert }).json({ path: '/ok' }), 'TlsRejected');
    other.remove();
  });

  it('checks nothing only where it is told so', async () => {
    assert.equal((await client(server.url, { insecure: true }).json({ path: '/ok' })).status, 200);
  });

  it('refuses a certificate for another name and one that is expired', async () => {
    const wrong = await httpsServer(ca.issue(['DNS:other.example.test']), (_request, response) => response.end());
    assert.match((await failure(client(wrong.url).call({ path: '/' }), 'TlsRejected')).message, /another name/);
    const old = await httpsServer(ca.issue(['IP:127.0.0.1'], { days: -1 }), (_request, response) => response.end());
    assert.match((await failure(client(old.url).call({ path: '/' }), 'TlsRejected')).message, /expired/);
    await Promise.all([wrong.close(), old.close()]);
  });

  it('says so when the port speaks plain HTTP, and refuses an address without TLS', async () => {
    const plain = http.createServer((_request, response) => response.end());
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const { port } = plain.address() as AddressInfo;
    await failure(client(`https://127.0.0.1:${port}`).call({ path: '/' }), 'TlsRejected');
    await failure(client(`http://127.0.0.1:${port}`).call({ path: '/' }), 'TlsRejected');
    plain.close();
  });

  it('names a CA file that is missing or holds no certificate', async () => {
    await failure(client(server.url, { caFile: '/no/such/ca.pem' }).call({ path: '/' }), 'InvalidInput');
    const empty = path.join(ca.dir, 'empty.pem');
    writeFileSync(empty, 'not a certificate');
    assert.match((await failure(client(server.url, { caFile: empty }).call({ path: '/' }), 'InvalidInput')).message, /empty\.pem/);
  });

  it('turns each status into the kind of error that it means, with the server\'s own words and code', async () => {
    const expected = { 400: 'InvalidInput', 401: 'AuthRejected', 403: 'NotPermitted', 404: 'NotFound', 409: 'Conflict', 429: 'Busy', 500: 'UcpUnavailable', 503: 'UcpUnavailable' } as const;
    for (const [status, kind] of Object.entries(expected)) {
      const error = await failure(client().json({ path: `/status/${status}` }), kind);
      assert.equal(error.details?.code, 'SOME_CODE');
      if (status !== '401') assert.match(error.message, /what the server says/);
    }
  });

  it('does not follow a call that nobody answers for longer than it is told', async () => {
    await failure(client().json({ path: '/silent', timeoutMs: 300 }), 'UcpUnavailable');
    await failure(client('https://127.0.0.1:9').json({ path: '/' }), 'UcpUnavailable');
  });

  it('makes one attempt only', async () => {
    const before = server.calls.length;
    await failure(client().json({ path: '/status/503' }), 'UcpUnavailable');
    assert.equal(server.calls.length, before + 1);
  });

  it('fails when an answer breaks off, and when it is not JSON', async () => {
    await failure(client().json({ path: '/torn' }), 'UcpUnavailable');
    assert.match((await failure(client().json({ path: '/html' }), 'UcpUnavailable')).remedy ?? '', /login page/);
  });

  it('rejects with the reason of the signal when it fires', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled by a person');
    setTimeout(() => controller.abort(reason), 100);
    await assert.rejects(client().json({ path: '/silent', signal: controller.signal }), (error) => error === reason);
  });

  describe('through a proxy', () => {
    let proxy: http.Server;
    const asked: { target: string; login: string | undefined }[] = [];
    const kept = { HTTPS_PROXY: process.env.HTTPS_PROXY, NO_PROXY: process.env.NO_PROXY };

    before(async () => {
      proxy = http.createServer().on('connect', (request, socket: net.Socket) => {
        asked.push({ target: request.url ?? '', login: request.headers['proxy-authorization'] });
        if (request.headers['proxy-authorization'] === undefined) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
        const inside = net.connect(server.port, '127.0.0.1', () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          inside.pipe(socket).pipe(inside);
        });
        socket.on('error', () => inside.destroy());
        inside.on('error', () => socket.destroy());
      });
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    });
    beforeEach(() => {
      asked.length = 0;
      delete process.env.NO_PROXY;
      process.env.HTTPS_PROXY = `http://someone:pass%20word@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    });
    afterEach(() => {
      for (const [name, value] of Object.entries(kept)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });
    after(() => {
      proxy.close();
      proxy.closeAllConnections();
    });

    it('goes through the proxy that HTTPS_PROXY names, which resolves the name, and still checks the server\'s certificate', async () => {
      assert.equal((await client('https://registry.example.test:7443').json({ path: '/ok' })).status, 200);
      assert.deepEqual(asked, [{ target: 'registry.example.test:7443', login: `Basic ${Buffer.from('someone:pass word').toString('base64')}` }]);
      await failure(client('https://other.example.test').json({ path: '/ok' }), 'TlsRejected');
    });

    it('goes straight to what NO_PROXY names', async () => {
      process.env.NO_PROXY = '.example.test';
      await failure(client('https://registry.example.test:7443').json({ path: '/ok' }), 'UcpUnavailable');
      assert.deepEqual(asked, []);
    });

    it('says that the proxy refuses, without its password', async () => {
      process.env.HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const error = await failure(client('https://registry.example.test').json({ path: '/ok' }), 'AuthRejected');
      assert.match(error.message, /proxy 127\.0\.0\.1:\d+ refused a tunnel .*407/);
      process.env.HTTPS_PROXY = 'http://someone:hunter2@127.0.0.1:9';
      assert.doesNotMatch((await failure(client('https://registry.example.test').json({ path: '/ok' }), 'UcpUnavailable')).message, /hunter2/);
    });

    for (const [written, meant] of [
      ['50%off', '50%off'], ['100%', '100%'], ['a%2', 'a%2'], ['50%25off', '50%off'], ['p%40ss%3A', 'p@ss:'], ['%zz%40', '%zz@'], ['ha#sh/sl?sh', 'ha#sh/sl?sh'], ['at@sign', 'at@sign'], ['umläut€', 'umläut€'], ['co:lon', 'co:lon'],
    ] as const) {
      it(`takes the password ${written} of HTTPS_PROXY for ${meant}`, async () => {
        process.env.HTTPS_PROXY = `http://someone:${written}@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
        assert.equal((await client('https://registry.example.test:7443').json({ path: '/ok' })).status, 200);
        assert.deepEqual(asked.map(({ login }) => Buffer.from(login!.replace('Basic ', ''), 'base64').toString()), [`someone:${meant}`]);
      });
    }

    for (const value of ['socks5://someone:hunter2@127.0.0.1:1080', 'http://someone:hunter2@', 'http://127.0.0.1:port', 'http://127.0.0.1:99999', 'http://[::1', ' ']) {
      it(`says that HTTPS_PROXY is no address of a proxy when it is ${JSON.stringify(value)}, without its password`, async () => {
        process.env.HTTPS_PROXY = value;
        const error = await failure(client('https://registry.example.test').json({ path: '/ok' }), 'InvalidInput');
        assert.match(error.message, /HTTPS_PROXY/);
        assert.doesNotMatch(error.message + error.remedy, /hunter2/);
      });
    }

    it('waits no longer than for any connection for a proxy that answers a byte now and then', async function () {
      const trickling = net.createServer((socket) => {
        const timer = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(timer)).on('error', () => undefined);
      });
      await new Promise<void>((resolve) => trickling.listen(0, '127.0.0.1', resolve));
      const { port } = trickling.address() as AddressInfo;
      await assert.rejects(connectThroughProxy(proxyFor('a', 1, { HTTPS_PROXY: `127.0.0.1:${port}` })!, 'registry.example.test', 443, 200), /does not answer/);
      trickling.close();
    });

    it('goes through a proxy that speaks TLS with a certificate of the system\'s authorities or one that the call trusts', async () => {
      const inside = https.createServer(ca.issue(['IP:127.0.0.1'])).on('connect', (_request, socket: net.Socket) => {
        const onward = net.connect(server.port, '127.0.0.1', () => {
          socket.write('HTTP/1.0 201 Tunnel\r\n\r\n');
          onward.pipe(socket).pipe(onward);
        });
        socket.on('error', () => onward.destroy());
        onward.on('error', () => socket.destroy());
      });
      await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve));
      process.env.HTTPS_PROXY = `https://127.0.0.1:${(inside.address() as AddressInfo).port}`;
      assert.equal((await client('https://registry.example.test:7443').json({ path: '/ok' })).status, 200);
      const other = new TestCa('Other');
      const error = await failure(client('https://registry.example.test:7443', { caFile: other.caFile }).json({ path: '/ok' }), 'UcpUnavailable');
      assert.match(error.message, /the proxy 127\.0\.0\.1:\d+ cannot be reached \(.*certificate/);
      other.remove();
      inside.close();
      inside.closeAllConnections();
    });
  });

  it('reads NO_PROXY as Docker does', () => {
    const through = (host: string, port: number, noProxy: string) => proxyFor(host, port, { HTTPS_PROXY: 'proxy:3128', NO_PROXY: noProxy }) !== null;
    assert.equal(through('dtr.example.com', 443, ''), true);
    assert.equal(through('dtr.example.com', 443, 'example.com'), false);
    assert.equal(through('badexample.com', 443, 'example.com'), true);
    assert.equal(through('dtr.example.com', 443, ' .Example.com ,x'), false);
    assert.equal(through('dtr.example.com', 443, '*.example.com'), false);
    assert.equal(through('dtr.example.com', 443, 'dtr.example.com:8443'), true);
    assert.equal(through('dtr.example.com', 8443, 'dtr.example.com:8443'), false);
    assert.equal(through('10.1.2.3', 443, '10.0.0.0/8'), false);
    assert.equal(through('11.1.2.3', 443, '10.0.0.0/8'), true);
    assert.equal(through('10.1.2.3', 443, '10.1.2.3'), false);
    assert.equal(through('fd00::5', 443, 'fd00::/8'), false);
    assert.equal(through('anything', 443, '*'), false);
    assert.equal(through('127.0.0.1', 443, ''), false);
    assert.equal(through('localhost', 443, ''), false);
    assert.equal(proxyFor('dtr.example.com', 443, {}), null);
    assert.equal(proxyFor('dtr.example.com', 443, { https_proxy: 'http://p:1' })?.shown, 'p:1');
    assert.equal(proxyFor('dtr.example.com', 443, { HTTPS_PROXY: '', https_proxy: 'http://p:80/' })?.port, 80);
    // What cannot be read is no exception.
    for (const entry of ['10.0.0.0/99', '10.0.0.0/', 'fd00::/x', '/', ':', '[']) assert.equal(through('10.1.2.3', 443, entry), true, entry);
    assert.equal(through('10.1.2.3', 443, '10.0.0.0/99, 10.1.2.3'), false);
  });
});
