import { readFileSync } from 'node:fs';
import { isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, rootCertificates, type SecureContext, type TLSSocket } from 'node:tls';
import { DrydockError } from '../../domain/errors';
import { connectThroughProxy, proxyFor } from './proxy';

/** How the other side is checked and how we show ourselves. */
export interface TlsOptions {
  /** PEM text of the authorities that are trusted; wins over `caFile`. Neither: the system's own. */
  ca?: string;
  caFile?: string;
  /** No check at all; only where the configuration says so. */
  insecure?: boolean;
  /** Client certificate and key, PEM. */
  cert?: string;
  key?: string;
}

const SYSTEM_BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/ca-bundle.pem'];

/** Opens TLS connections in one way: checked, through the proxy of the environment, with a limit on the time. */
export class TlsDialer {
  private context: SecureContext | undefined;
  private toProxy: SecureContext | undefined;

  constructor(readonly options: TlsOptions) {}

  /** Throws the raw error of the failed step; `classifyNetworkError` makes it readable. */
  async dial(host: string, port: number, timeoutMs: number): Promise<TLSSocket> {
    const context = this.secureContext();
    const bare = host.replace(/^\[|\]$/g, '');
    const proxy = proxyFor(bare, port);
    const raw = proxy === null ? await dialTcp(bare, port, timeoutMs) : await connectThroughProxy(proxy, bare, port, timeoutMs, proxy.encrypted ? this.proxyContext() : undefined);
    return new Promise((resolve, reject) => {
      const socket = connectTls({
        socket: raw,
        host: bare,
        servername: isIP(bare) === 0 ? bare : undefined,
        secureContext: context,
        rejectUnauthorized: this.options.insecure !== true,
      });
      const fail = (error: Error) => {
        clearTimeout(timer);
        socket.destroy();
        raw.destroy();
        reject(error);
      };
      const timer = setTimeout(() => fail(timeoutError(bare, port)), timeoutMs);
      socket.once('error', fail);
      socket.once('secureConnect', () => {
        clearTimeout(timer);
        socket.removeListener('error', fail);
        socket.setNoDelay(true);
        // Long waits must survive the idle limits of load balancers.
        raw.setKeepAlive(true, 30_000);
        resolve(socket);
      });
    });
  }

  private secureContext(): SecureContext {
    const { ca, caFile, insecure, cert, key } = this.options;
    const own = ca ?? caFile ?? cert ?? key;
    if (own === undefined && insecure !== true) return systemContext();
    this.context ??= createSecureContext({ ca: insecure === true ? undefined : this.authorities(), cert, key });
    return this.context;
  }

  /** A proxy's certificate comes from the site's authorities as a rule: those of the system, or those that the other side is checked by. It never sees our own. */
  private proxyContext(): SecureContext {
    const { ca, caFile, insecure } = this.options;
    const isNamed = insecure !== true && (ca ?? caFile) !== undefined;
    this.toProxy ??= isNamed ? createSecureContext({ ca: [...systemAuthorities(), this.authorities()].flat() }) : systemContext();
    return this.toProxy;
  }

  private authorities(): string[] | string {
    if (this.options.ca !== undefined) return checkedPem(this.options.ca, 'the CA certificate');
    if (this.options.caFile !== undefined) return checkedPem(readCaFile(this.options.caFile), `the CA file ${this.options.caFile}`);
    return systemAuthorities();
  }
}

let systemContextMade: SecureContext | undefined;

/** Made once: reading the system's authorities takes a second. */
function systemContext(): SecureContext {
  systemContextMade ??= createSecureContext({ ca: systemAuthorities() });
  return systemContextMade;
}

/** PEM of the authorities that Node knows and that this machine's administrators have added. */
export function systemAuthorities(): string[] {
  const bundle = [process.env.SSL_CERT_FILE ?? '', ...SYSTEM_BUNDLES].map(readIfThere).find((text) => text !== undefined);
  return bundle === undefined ? [...rootCertificates] : [...rootCertificates, bundle];
}

/** Without this, OpenSSL takes any text for an empty list and every server is then refused with a misleading reason. */
function checkedPem(text: string, what: string): string {
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new DrydockError('InvalidInput', `${what} holds no PEM certificate`, { remedy: 'give a file that has -----BEGIN CERTIFICATE----- in it' });
}

function readCaFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new DrydockError('InvalidInput', `the CA file ${path} cannot be read`, { remedy: 'check that it exists and that the worker may read it', cause });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function timeoutError(host: string, port: number): Error {
  return Object.assign(new Error(`no answer from ${host}:${port}`), { code: 'ETIMEDOUT' });
}

function dialTcp(host: string, port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(timeoutMs, () => fail(timeoutError(host, port)));
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.removeListener('error', fail);
      resolve(socket);
    });
  });
}
