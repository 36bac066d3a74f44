import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Status } from '../../client/status';
import { openSession } from '../../client/session';
import { workerPolls } from '../../client/workers';
import { EXIT } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import { connectPatiently } from '../../worker/connect';
import type { TemporalSettings } from '../../worker/temporal-settings';
import { freePort } from '../helpers/free-port';
import { TestCa, type KeyPair } from '../helpers/pki';
import { temporal, unique } from '../helpers/temporal';
import { cuttingDoor, keyDoor, silentDoor, tlsDoor, webDoor, type Door } from '../helpers/temporal-doors';
import { drydock, place, start } from './fixtures/drydock';

type Fault = Omit<Partial<TemporalSettings>, 'address'> & { to: () => Promise<Door | string>; kind: string; says: RegExp; remedy: RegExp };

describe('what keeps Temporal from answering', function () {
  this.timeout(60_000);
  let ca: TestCa;
  let other: TestCa;
  let server: string;
  const doors: Door[] = [];
  let faults: Record<string, Fault>;

  const authority = () => ({ serverRootCACertificate: Buffer.from(ca.cert) });
  const own = ({ cert, key }: KeyPair) => ({ clientCertPair: { crt: Buffer.from(cert), key: Buffer.from(key) } });
  const settings = (address: string, more: Partial<TemporalSettings> = {}): TemporalSettings => ({ address, namespace: 'default', taskQueue: 'faults', uiUrl: 'http://127.0.0.1:8233', connection: {}, ...more });

  before(async () => {
    ({ address: server } = await temporal());
    [ca, other] = [new TestCa('Temporal CA'), new TestCa('Another CA')];
    const pair = ca.issue(['IP:127.0.0.1', 'DNS:localhost']);
    const named = ca.issue(['DNS:temporal.example.com']);
    const old = ca.issue(['IP:127.0.0.1'], { days: -1 });
    const mutual = { ...pair, ca: ca.cert, requestCert: true };
    faults = {
      'no TLS to a TLS port': { to: () => tlsDoor(server, pair), kind: 'TemporalUnavailable', says: /speaks TLS, and TLS is not switched on here/, remedy: /TEMPORAL_TLS=true/ },
      'TLS to a port without': { to: () => Promise.resolve(server), connection: { tls: true }, kind: 'TemporalUnavailable', says: /speaks without TLS, and TLS is switched on here/, remedy: /unset TEMPORAL_TLS/ },
      'a certificate of an unknown authority': { to: () => tlsDoor(server, pair), connection: { tls: true }, kind: 'TlsRejected', says: /not signed by an authority that we trust \(UNABLE_TO_\w+, issued by CN=Temporal CA\)/, remedy: /TEMPORAL_TLS_SERVER_CA_CERT_PATH/ },
      'another authority than is named': { to: () => tlsDoor(server, pair), connection: { tls: { serverRootCACertificate: Buffer.from(other.cert) } }, kind: 'TlsRejected', says: /not signed by an authority that we trust/, remedy: /check that TEMPORAL_TLS_SERVER_CA_CERT_PATH/ },
      'a certificate for another name': { to: () => tlsDoor(server, named), connection: { tls: authority() }, kind: 'TlsRejected', says: /is for DNS:temporal\.example\.com, not for 127\.0\.0\.1/, remedy: /TEMPORAL_TLS_SERVER_NAME/ },
      'a wrong server name in the settings': { to: () => tlsDoor(server, pair), connection: { tls: { ...authority(), serverNameOverride: 'temporal.example.org' } }, kind: 'TlsRejected', says: /not for temporal\.example\.org/, remedy: /TEMPORAL_TLS_SERVER_NAME/ },
      'an expired certificate': { to: () => tlsDoor(server, old), connection: { tls: authority() }, kind: 'TlsRejected', says: /has expired on /, remedy: /clock/ },
      'no client certificate where one is wanted': { to: () => tlsDoor(server, { ...mutual, rejectUnauthorized: true }), connection: { tls: authority() }, kind: 'AuthRejected', says: /wants a client certificate/, remedy: /TEMPORAL_TLS_CLIENT_CERT_PATH/ },
      'a client certificate of a stranger': { to: () => tlsDoor(server, { ...mutual, rejectUnauthorized: true }), connection: { tls: { ...authority(), ...own(other.issue([])) } }, kind: 'TlsRejected', says: /hangs up on our TLS connection/, remedy: /may not know our client certificate/ },
      'a client certificate that is none': { to: () => tlsDoor(server, pair), connection: { tls: { ...authority(), clientCertPair: { crt: Buffer.from('junk'), key: Buffer.from('junk') } } }, kind: 'InvalidInput', says: /certificates for Temporal cannot be used/, remedy: /PEM/ },
      'a wrong key for the API': { to: () => keyDoor(server, pair, 'right', 'Request unauthorized.'), connection: { tls: authority(), apiKey: 'wrong' }, kind: 'AuthRejected', says: /does not let this (command|worker) in; it says: .*Request unauthorized\./, remedy: /TEMPORAL_API_KEY/ },
      'no key for the API': { to: () => keyDoor(server, pair, 'right', 'Request unauthorized.'), connection: { tls: authority() }, kind: 'AuthRejected', says: /does not let this (command|worker) in/, remedy: /TEMPORAL_API_KEY/ },
      'a web server': { to: webDoor, kind: 'TemporalUnavailable', says: /answers "HTTP\/1\.1 [^"]+": that is a web server or a proxy/, remedy: /that of the UI is another one/ },
      'a port that takes connections and is silent': { to: silentDoor, kind: 'TemporalUnavailable', says: /takes the connection and says nothing/, remedy: /load balancers/ },
      'nobody at the port': { to: async () => `127.0.0.1:${await freePort()}`, kind: 'TemporalUnavailable', says: /no Temporal server answers at 127\.0\.0\.1:\d+ \(connection refused\)/, remedy: /drydock up/ },
      'a name that does not resolve': { to: () => Promise.resolve('no-such-host.invalid:7233'), kind: 'TemporalUnavailable', says: /the name no-such-host\.invalid of the Temporal server cannot be resolved/, remedy: /name server/ },
      'an address that is a URL': { to: () => Promise.resolve('https://temporal.example.com:7233'), kind: 'InvalidInput', says: /is no address of a Temporal server/, remedy: /without https:\/\// },
    };
  });
  after(async () => {
    await Promise.all(doors.map((door) => door.close()));
    [ca, other].forEach((each) => each.remove());
  });

  async function addressOf(to: Fault['to']): Promise<string> {
    const door = await to();
    if (typeof door === 'string') return door;
    doors.push(door);
    return door.address;
  }

  function check(who: string, name: string, { kind, says, remedy }: Fault, error: unknown): void {
    assert.ok(error instanceof DrydockError, `${who}, ${name}: ${String(error)}`);
    assert.match(error.message, says, `${who}, ${name}: ${error.message}`);
    assert.match(error.remedy ?? '', remedy, `${who}, ${name}: ${error.remedy}`);
    assert.equal(error.kind, kind, `${who}, ${name}`);
  }

  it('is named by the command, each cause with its way out', async () => {
    await Promise.all(Object.entries(faults).map(async ([name, fault]) => {
      const address = await addressOf(fault.to);
      const error = await openSession(undefined, settings(address, { connection: fault.connection ?? {} })).then(() => 'connected', (reason: unknown) => reason);
      check('command', name, fault, error);
    }));
  });

  it('is named by the worker: once in its log where waiting may help, else at its end', async () => {
    await Promise.all(Object.entries(faults).filter(([name]) => !name.startsWith('a port that takes')).map(async ([name, fault]) => {
      const address = await addressOf(fault.to);
      const logged: string[] = [];
      const stop = new AbortController();
      const logger = { warn: (text: string) => (logged.push(text), stop.abort()) };
      const end = await connectPatiently(settings(address, { connection: fault.connection ?? {} }), { logger, signal: stop.signal }).catch((error: unknown) => error);
      if (end !== undefined) return check('worker', name, fault, end);
      assert.equal(logged.length, 1);
      const [message = '', remedy = ''] = logged[0]!.split('; ');
      check('worker', name, fault, new DrydockError(fault.kind as 'TlsRejected', message, { remedy }));
    }));
  });

  it('lets both in when TLS, certificate and key are right', async () => {
    const pair = ca.issue(['IP:127.0.0.1']);
    const open = await keyDoor(server, pair, 'right', 'no');
    const mutual = await tlsDoor(server, { ...pair, ca: ca.cert, requestCert: true, rejectUnauthorized: true });
    doors.push(open, mutual);
    for (const [address, connection] of [[open.address, { tls: authority(), apiKey: 'right' }], [mutual.address, { tls: { ...authority(), ...own(ca.issue([])) } }]] as const) {
      const session = await openSession(undefined, settings(address, { connection }));
      assert.equal(await workerPolls(session), false);
      await session.close();
      await (await connectPatiently(settings(address, { connection }), { logger: { warn: assert.fail }, signal: new AbortController().signal }))?.close();
    }
  });

  it('is told with exit code 5 for a server of an unknown authority, half a pair is refused, and no warning of Node stands beside it', async () => {
    const door = await tlsDoor(server, ca.issue(['IP:127.0.0.1']));
    doors.push(door);
    const here = await place({ address: door.address });
    const own_ = path.join(here.directory, 'client.pem');
    await writeFile(own_, ca.issue([]).cert);
    const [untrusted, half, space] = await Promise.all([
      drydock(['backup', 'lab', '--config', here.config], { TEMPORAL_TLS: 'true' }),
      drydock(['backup', 'lab', '--config', here.config], { TEMPORAL_TLS_CLIENT_CERT_PATH: own_ }),
      drydock(['show', 'backup/lab/x', '--config', here.config], { TEMPORAL_TLS_SERVER_CA_CERT_PATH: ca.caFile, TEMPORAL_NAMESPACE: 'nowhere' }),
    ]);
    assert.match(untrusted.stderr, /^drydock: the certificate of Temporal at \S+ is not signed by an authority that we trust .*\n {2}name the authority's PEM file by TEMPORAL_TLS_SERVER_CA_CERT_PATH\n$/);
    assert.equal(untrusted.code, EXIT.unreachable);
    assert.match(half.stderr, /^drydock: a client certificate for Temporal needs its key: TEMPORAL_TLS_CLIENT_CERT_PATH .* is set, TEMPORAL_TLS_CLIENT_KEY_PATH is not\n {2}set both\n$/);
    assert.equal(half.code, EXIT.usage);
    assert.match(space.stderr, /^drydock: Temporal at \S+ has no namespace "nowhere"\n {2}correct temporal\.namespace or TEMPORAL_NAMESPACE\n$/);
    assert.equal(space.code, EXIT.usage);
    await here.remove();
  });
});

describe('a way to Temporal that is cut again and again', function () {
  this.timeout(180_000);

  it('keeps neither worker nor command from their work, and the worker is not said to be gone', async () => {
    const door = await cuttingDoor((await temporal()).address, 2_000);
    const here = await place({ address: door.address, taskQueue: unique('cut') });
    await mkdir(here.vault);
    await openDirectoryVault(here.vault).check();
    const worker = start(['worker', '--config', here.config]);
    try {
      for (let round = 0; round < 5; round++) {
        const { code, stdout, stderr } = await drydock(['prune', 'lab', '--dry-run', '--json', '--config', here.config]);
        assert.equal(code, EXIT.ok, stderr);
        assert.deepEqual((JSON.parse(stdout) as { counts: object }).counts, { kept: 0, givenUp: 0 });
      }
      const { temporal: seen } = JSON.parse((await drydock(['status', '--json', '--config', here.config])).stdout) as Status;
      assert.deepEqual([seen.reachable, seen.workerListens], [true, true]);
    } finally {
      worker.child.kill('SIGTERM');
      assert.equal((await worker.finished).code, EXIT.ok);
      await door.close();
      await here.remove();
    }
  });
});
