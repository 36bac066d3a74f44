import { BlockList, isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import { DrydockError } from '../../domain/errors';

type Env = Record<string, string | undefined>;

/** An HTTP proxy that opens tunnels. */
export interface Proxy {
  /** Without the brackets of an IPv6 address. */
  host: string;
  port: number;
  /** Whether the way to the proxy itself is TLS. */
  encrypted: boolean;
  /** Value of Proxy-Authorization; null where no user is named. */
  authorization: string | null;
  /** `host:port` for people; never user or password. */
  shown: string;
}

/** The last `@` ends the login: a password that should have been escaped may hold one. What follows the port counts for nothing. */
const ADDRESS = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:(.*)@)?(\[[0-9a-f:.%]+\]|[^\s@:/?#[\]]+)(?::(\d{1,5}))?(?:\/[^@]*)?$/is;

/**
 * The proxy for an HTTPS call to `host:port`, or null for a direct connection. Reads HTTPS_PROXY and NO_PROXY (either case) as Docker and
 * curl do: loop-back is always direct; NO_PROXY holds names (sub-domains included), addresses, CIDR blocks, each with an optional port, or `*`.
 * HTTP_PROXY is for plain HTTP, which Drydock never speaks. Throws InvalidInput when HTTPS_PROXY names no HTTP proxy.
 */
export function proxyFor(host: string, port: number, env: Env = process.env): Proxy | null {
  const value = [env.HTTPS_PROXY, env.https_proxy].find((each) => each !== undefined && each !== '');
  if (value === undefined) return null;
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (bare === 'localhost' || bare === '::1' || /^127(\.\d+){3}$/.test(bare)) return null;
  const exceptions = (env.NO_PROXY ?? env.no_proxy ?? '').split(',').map((entry) => entry.trim().toLowerCase());
  if (exceptions.some((entry) => entry !== '' && matches(entry, bare, port))) return null;
  return parseProxy(value.trim());
}

function parseProxy(value: string): Proxy {
  const [, scheme = 'http', login, name = '', port] = ADDRESS.exec(value) ?? [];
  const kind = scheme.toLowerCase();
  if (name === '' || Number(port) > 65535) {
    throw new DrydockError('InvalidInput', 'HTTPS_PROXY is set, but is no address of a proxy', { remedy: 'write it as http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128' });
  }
  if (kind !== 'http' && kind !== 'https') {
    throw new DrydockError('InvalidInput', `HTTPS_PROXY names a proxy that speaks ${kind}; Drydock goes through HTTP proxies only`, { remedy: 'name an HTTP proxy that allows CONNECT, or name the hosts in NO_PROXY' });
  }
  const encrypted = kind === 'https';
  const number = port === undefined ? (encrypted ? 443 : 80) : Number(port);
  return { host: name.replace(/^\[|\]$/g, ''), port: number, encrypted, authorization: authorizationOf(login), shown: `${name}:${number}` };
}

/** Of `user:password`, each percent-encoded or not. */
function authorizationOf(login: string | undefined): string | null {
  if (login === undefined || login === '' || login.startsWith(':')) return null;
  const colon = login.includes(':') ? login.indexOf(':') : login.length;
  const bytes = Buffer.concat([unescaped(login.slice(0, colon)), Buffer.from(':'), unescaped(login.slice(colon + 1))]);
  return `Basic ${bytes.toString('base64')}`;
}

/** Decodes `%` with two hexadecimal digits; any other `%` stands for itself. Bytes, since what was escaped need not be UTF-8. */
function unescaped(text: string): Buffer {
  const pieces = text.split(/(%[0-9a-f]{2})/i);
  return Buffer.concat(pieces.map((piece, i) => (i % 2 === 1 ? Buffer.from(piece.slice(1), 'hex') : Buffer.from(piece))));
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inBlock(entry, host);
  const withPort = /^(.*?):(\d+)$/.exec(entry);
  const hasPort = withPort !== null && isIP(entry) === 0;
  if (hasPort && Number(withPort[2]) !== port) return false;
  const name = (hasPort ? withPort[1]! : entry).replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
  return host === name || (isIP(host) === 0 && name !== '' && host.endsWith(`.${name}`));
}

/** A block that cannot be read holds nobody. */
function inBlock(entry: string, host: string): boolean {
  const [network = '', prefix = ''] = entry.split('/');
  const family = isIP(network);
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (family === 0 || isIP(host) !== family || !(bits <= (family === 4 ? 32 : 128))) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(network, bits, type);
  return list.check(host, type);
}

/** What a proxy answered instead of a tunnel; never carries the proxy's password. */
export class ProxyError extends Error {
  constructor(readonly proxyHost: string, readonly status: number | undefined, message: string, cause?: unknown) {
    super(message, { cause });
  }
}

/** A tunnel to `host:port` through an HTTP(S) proxy (CONNECT), within `timeoutMs` in all. `context`: whom we trust where the proxy speaks TLS. Throws ProxyError. */
export function connectThroughProxy(proxy: Proxy, host: string, port: number, timeoutMs: number, context?: SecureContext): Promise<Socket> {
  const target = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
  const request = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${proxy.authorization === null ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`}\r\n`;
  return new Promise((resolve, reject) => {
    const address = { host: proxy.host, port: proxy.port };
    const socket = proxy.encrypted ? connectTls({ ...address, servername: isIP(address.host) === 0 ? address.host : undefined, secureContext: context }) : connectTcp(address);
    const fail = (status: number | undefined, what: string, cause?: unknown) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ProxyError(proxy.shown, status, `the proxy ${proxy.shown} ${what}`, cause));
    };
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) {
        if (head.length > 16384) fail(undefined, 'sent an answer that is not HTTP');
        return;
      }
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1', 0, end))?.[1]);
      if (!(status >= 200 && status < 300)) return fail(status, `refused a tunnel to ${target} (${Number.isNaN(status) ? 'not HTTP' : status})`);
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.pause();
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      resolve(socket);
    };
    const timer = setTimeout(() => fail(undefined, 'does not answer'), timeoutMs);
    socket.on('error', (error: Error) => fail(undefined, `cannot be reached (${error.message})`, error));
    socket.on('close', () => fail(undefined, 'closed the connection'));
    socket.on('data', onData);
    socket.once(proxy.encrypted ? 'secureConnect' : 'connect', () => socket.write(request));
  });
}
