/** Why no Temporal server answers, found out by knocking by hand: gRPC libraries only say that time ran out. */
import { lookup } from 'node:dns/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { DrydockError } from '../../domain/errors';
import { systemAuthorities } from '../http/tls';
import { placeOf, type Place, type TemporalDoor, type TemporalTls } from './door';
import { greet, type Greeting } from './greeting';
import { certificateFault, handshakeFault } from './tls-faults';

const WAIT_MS = 3_000;

/** The cause with the way out; undefined when HTTP/2 is spoken there in the way that we asked for, so that the reason is another one. */
export async function whyNoAnswer(door: TemporalDoor): Promise<DrydockError | undefined> {
  const { tls } = door;
  try {
    const place = placeOf(door.address);
    const wantsTls = typeof tls === 'object' && tls !== null ? tls : tls === true || (tls !== false && door.hasApiKey === true) ? {} : undefined;
    return wantsTls === undefined ? await knockPlain(place) : await knockTls(place, wantsTls);
  } catch (error) {
    if (error instanceof DrydockError) return error;
    throw error;
  }
}

async function knockPlain(place: Place): Promise<DrydockError | undefined> {
  const greeting = await greet(await dial(place), WAIT_MS);
  if (greeting.speaks === 'http2') return undefined;
  if (await speaksTls(place)) {
    return new DrydockError('TemporalUnavailable', `the server at ${place.where} speaks TLS, and TLS is not switched on here`, {
      remedy: 'set TEMPORAL_TLS=true; where an authority of your own has signed its certificate, name that by TEMPORAL_TLS_SERVER_CA_CERT_PATH',
    });
  }
  return notTemporal(place, greeting);
}

async function knockTls(place: Place, tls: TemporalTls): Promise<DrydockError | undefined> {
  let socket: TLSSocket;
  try {
    socket = await handshake(place, tls);
  } catch (error) {
    if (error instanceof DrydockError) throw error;
    const plain = await greet(await dial(place), WAIT_MS);
    if (plain.speaks === 'http2') {
      return new DrydockError('TemporalUnavailable', `the server at ${place.where} speaks without TLS, and TLS is switched on here`, {
        remedy: 'unset TEMPORAL_TLS and the other TEMPORAL_TLS_* settings; TEMPORAL_API_KEY switches TLS on as well',
      });
    }
    if (plain.speaks === 'http1') return notTemporal(place, plain);
    return handshakeFault(error as NodeJS.ErrnoException, place, tls);
  }
  const fault = certificateFault(socket, place, tls);
  if (fault !== undefined) {
    socket.destroy();
    return fault;
  }
  const greeting = await greet(socket, WAIT_MS);
  if (greeting.speaks === 'http2') return undefined;
  // With TLS 1.3 a server says only now what it thinks of our certificate.
  if (greeting.hungUp !== undefined) return handshakeFault(greeting.hungUp, place, tls);
  return notTemporal(place, greeting);
}

function notTemporal({ where }: Place, { speaks, line, hungUp }: Greeting): DrydockError {
  if (speaks === 'http1') {
    return new DrydockError('TemporalUnavailable', `${where} answers "${line ?? 'HTTP/1.1'}": that is a web server or a proxy, no Temporal server`, {
      remedy: 'check the port (that of the UI is another one), and that a proxy in between lets gRPC (HTTP/2) through',
    });
  }
  const what = hungUp !== undefined ? 'takes the connection and hangs up' : speaks === 'nothing' ? 'takes the connection and says nothing' : 'answers something that is not HTTP/2';
  return new DrydockError('TemporalUnavailable', `${where} ${what}: no Temporal server that works`, { remedy: 'check the address; if it is right, look at the server, and at load balancers in between' });
}

const CANNOT_GO = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'EACCES', 'EPERM', 'EADDRNOTAVAIL']);

/** Throws TemporalUnavailable saying what keeps us from connecting. */
async function dial({ host, port, where }: Place): Promise<Socket> {
  if (isIP(host) === 0) await resolve(host);
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port });
    const fail = (error: DrydockError): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(WAIT_MS, () => fail(new DrydockError('TemporalUnavailable', `no Temporal server answers at ${where}: no connection within ${WAIT_MS / 1000} s`, { remedy: 'check the address, the machine, and firewalls in between' })));
    socket.once('error', (error: NodeJS.ErrnoException) => fail(notConnected(where, error)));
    socket.once('connect', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

async function resolve(host: string): Promise<void> {
  try {
    await lookup(host);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DrydockError('TemporalUnavailable', `the name ${host} of the Temporal server cannot be resolved (${code ?? 'no answer'})`, { remedy: 'check temporal.address or TEMPORAL_ADDRESS, and the name server of this machine', cause });
  }
}

function notConnected(where: string, error: NodeJS.ErrnoException): DrydockError {
  const code = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException | undefined)?.code : error.code;
  if (code !== undefined && CANNOT_GO.has(code)) {
    return new DrydockError('TemporalUnavailable', `no way leads to the Temporal server at ${where} (${code})`, { remedy: 'check the address, routes and firewalls', cause: error });
  }
  return new DrydockError('TemporalUnavailable', `no Temporal server answers at ${where} (${code === 'ECONNREFUSED' ? 'connection refused' : (code ?? error.message)})`, {
    remedy: 'start one with `drydock up`, or name yours by temporal.address in drydock.yaml or TEMPORAL_ADDRESS', cause: error,
  });
}

/** The certificate is judged afterwards, so that it can be shown. Throws the raw error of the handshake. */
async function handshake(place: Place, { serverNameOverride, serverRootCACertificate, clientCertPair }: TemporalTls): Promise<TLSSocket> {
  const raw = await dial(place);
  const name = serverNameOverride ?? place.host;
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      socket: raw, host: name, servername: isIP(name) === 0 ? name : undefined, ALPNProtocols: ['h2'], rejectUnauthorized: false,
      ca: serverRootCACertificate === undefined ? systemAuthorities() : Buffer.from(serverRootCACertificate),
      cert: clientCertPair && Buffer.from(clientCertPair.crt), key: clientCertPair && Buffer.from(clientCertPair.key),
    });
    const fail = (error: Error): void => {
      raw.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(Object.assign(new Error('no answer to the TLS handshake'), { code: 'ETIMEDOUT' })), WAIT_MS);
    socket.once('error', (error: Error) => {
      clearTimeout(timer);
      fail(error);
    });
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

async function speaksTls(place: Place): Promise<boolean> {
  try {
    (await handshake(place, {})).destroy();
    return true;
  } catch (error) {
    // Says by an alert that it wants a certificate, or another protocol: TLS all the same.
    return /ALERT/.test((error as NodeJS.ErrnoException).code ?? '');
  }
}
