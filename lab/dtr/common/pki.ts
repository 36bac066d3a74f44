import { execFile } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface KeyPair {
  cert: string;
  key: string;
}

export function newKey(kind: 'ec' | 'rsa' = 'ec'): string {
  const { privateKey } =
    kind === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A self-signed certificate authority, valid for ten years. */
export function newCa(commonName: string, kind: 'ec' | 'rsa' = 'ec'): Promise<KeyPair> {
  return inFolder(async (dir) => {
    const key = newKey(kind);
    await writeFile(path.join(dir, 'ca.key'), key, { mode: 0o600 });
    await run('openssl', [
      'req', '-x509', '-new', '-key', path.join(dir, 'ca.key'), '-subj', `/CN=${commonName}`, '-days', '3650', '-sha256',
      '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature', '-out', path.join(dir, 'ca.pem'),
    ]);
    return { key, cert: await readFile(path.join(dir, 'ca.pem'), 'utf8') };
  });
}

/** A certificate for host names and addresses, signed by `ca`, good for servers and clients. */
export function newCertificate(ca: KeyPair, commonName: string, hosts: string[]): Promise<KeyPair> {
  return inFolder(async (dir) => {
    const file = (name: string): string => path.join(dir, name);
    const key = newKey();
    const names = hosts.map((host) => (net.isIP(host) ? `IP:${host}` : `DNS:${host}`)).join(',');
    await Promise.all([
      writeFile(file('key'), key, { mode: 0o600 }),
      writeFile(file('ca.key'), ca.key, { mode: 0o600 }),
      writeFile(file('ca.pem'), ca.cert),
      writeFile(file('ext'), `basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=${names}\n`),
    ]);
    await run('openssl', ['req', '-new', '-key', file('key'), '-subj', `/CN=${commonName}`, '-out', file('csr')]);
    await run('openssl', ['x509', '-req', '-in', file('csr'), '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '1825', '-sha256', '-extfile', file('ext'), '-out', file('pem')]);
    return { key, cert: await readFile(file('pem'), 'utf8') };
  });
}

/** Throws a sentence when certificate and key do not belong together. */
export function checkPair(pair: KeyPair): void {
  const certificate = new X509Certificate(pair.cert);
  const spki = (key: ReturnType<typeof createPublicKey>): string => key.export({ type: 'spki', format: 'pem' }).toString();
  if (spki(certificate.publicKey) !== spki(createPublicKey(createPrivateKey(pair.key)))) throw new Error('the TLS certificate does not match the TLS private key');
}

/** First certificate of a PEM text as base64 DER, the form of `x5c`. */
export function derOf(pem: string): string {
  return new X509Certificate(pem).raw.toString('base64');
}

async function inFolder<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(path.join(tmpdir(), 'pki-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
