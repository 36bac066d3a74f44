import { BlockList, isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

type Env = Record<string, string | undefined>;

/**
 * The proxy for an HTTPS call to `host:port`, or null for a direct connection. Reads HTTPS_PROXY and NO_PROXY (either case) as Docker and
 * curl do: loop-back is always direct; NO_PROXY holds names (sub-domains included), addresses, CIDR blocks, each with an optional port, or `*`.
 * HTTP_PROXY is for plain HTTP, which Drydock never speaks.
 */
export function proxyFor(host: string, port: number, env: Env = process.env): URL | null {
  const value = env.HTTPS_PROXY ?? env.https_proxy;
  if (value === undefined || value === '') return null;
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  if (bare === 'localhost' || bare === '::1' || /^127(\.\d+){3}$/.test(bare)) return null;
  const exceptions = (env.NO_PROXY ?? env.no_proxy ?? '').split(',').map((entry) => entry.trim().toLowerCase());
  if (exceptions.some((entry) => entry !== '' && matches(entry, bare, port))) return null;
  return new URL(value.includes('://') ? value : `http://${value}`);
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inBlock(entry, host);
  const withPort = /^(.*?):(\d+)$/.exec(entry);
  const hasPort = withPort !== null && isIP(entry) === 0;
  if (hasPort && Number(withPort[2]) !== port) return false;
  const name = (hasPort ? withPort[1]! : entry).replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function inBlock(entry: string, host: string): boolean {
  const [network = '', prefix = ''] = entry.split('/');
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(network, Number(prefix), type);
  return list.check(host, type);
}

/** What a proxy answered instead of a tunnel; never carries the proxy's password. */
export class ProxyError extends Error {
  constructor(readonly proxyHost: string, readonly status: number | undefined, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
  }
}

/** A tunnel to `host:port` through an HTTP(S) proxy (CONNECT). Throws ProxyError. */
export function connectThroughProxy(proxy: URL, host: string, port: number, timeoutMs: number): Promise<Socket> {
  const proxyHost = proxy.host;
  return new Promise((resolve, reject) => {
    const encrypted = proxy.protocol === 'https:';
    const address = { host: proxy.hostname.replace(/^\[|\]$/g, ''), port: Number(proxy.port || (encrypted ? 443 : 3128)) };
    const socket = encrypted ? connectTls({ ...address, servername: isIP(address.host) === 0 ? address.host : undefined }) : connectTcp(address);
    const fail = (status: number | undefined, what: string, cause?: unknown) => {
      socket.destroy();
      reject(new ProxyError(proxyHost, status, `the proxy ${proxyHost} ${what}`, cause));
    };
    const target = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
    let head = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) {
        if (head.length > 16384) fail(undefined, 'sent an answer that is not HTTP');
        return;
      }
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head.toString('latin1', 0, end))?.[1]);
      if (status !== 200) return fail(status, `refused a tunnel to ${target} (${Number.isNaN(status) ? 'not HTTP' : status})`);
      socket.removeAllListeners();
      socket.setTimeout(0);
      socket.pause();
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      resolve(socket);
    };
    socket.setTimeout(timeoutMs, () => fail(undefined, 'does not answer'));
    socket.on('error', (error: Error) => fail(undefined, `cannot be reached (${error.message})`, error));
    socket.on('close', () => fail(undefined, 'closed the connection'));
    socket.on('data', onData);
    socket.once(encrypted ? 'secureConnect' : 'connect', () => {
      const user = decodeURIComponent(proxy.username);
      const authorization =
        user === '' ? '' : `Proxy-Authorization: Basic ${Buffer.from(`${user}:${decodeURIComponent(proxy.password)}`).toString('base64')}\r\n`;
      socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${authorization}\r\n`);
    });
  });
}
