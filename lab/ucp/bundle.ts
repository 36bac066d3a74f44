/** Client bundles: a new key pair each time, signed by UCP's CA. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { zip } from './zip';

const execute = promisify(execFile);

export interface BundleAuthority {
  /** Files of UCP's CA. */
  caCert: string;
  caKey: string;
  /** `host:port` that clients reach UCP by. */
  endpoint: string;
  /** UCP's instance id. */
  instanceId: string;
}

export async function clientBundle(authority: BundleAuthority, username: string): Promise<Buffer> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bundle-'));
  const file = (name: string): string => path.join(directory, name);
  const openssl = (...args: string[]) => execute('openssl', args, { cwd: directory });
  try {
    await openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', file('key.pem'));
    await openssl('req', '-new', '-key', file('key.pem'), '-subj', `/CN=${username}`, '-out', file('request.pem'));
    await writeFile(file('extensions'), 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n');
    const serial = `0x${randomBytes(16).toString('hex')}`;
    await openssl('x509', '-req', '-sha256', '-days', '1825', '-in', file('request.pem'), '-CA', authority.caCert, '-CAkey', authority.caKey,
      '-set_serial', serial, '-extfile', file('extensions'), '-out', file('cert.pem')); // prettier-ignore
    await openssl('ec', '-in', file('key.pem'), '-pubout', '-out', file('cert.pub'));
    const [key, cert, pub, ca] = await Promise.all([...['key.pem', 'cert.pem', 'cert.pub'].map(file), authority.caCert].map((name) => readFile(name)));
    return zip([
      { name: 'ca.pem', content: ca! },
      { name: 'cert.pem', content: cert! },
      { name: 'key.pem', content: key!, mode: 0o600 },
      { name: 'cert.pub', content: pub! },
      ...environmentFiles(authority, username),
    ]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function environmentFiles({ endpoint, instanceId }: BundleAuthority, username: string): { name: string; content: Buffer }[] {
  const note = [`Bundle for user ${username}`, `UCP Instance ID ${instanceId}`];
  const script = (lines: string[]): Buffer => Buffer.from(`${lines.join('\n')}\n`);
  return [
    {
      name: 'env.sh',
      content: script([
        'export COMPOSE_TLS_VERSION=TLSv1_2',
        'export DOCKER_TLS_VERIFY=1',
        'export DOCKER_CERT_PATH="$PWD"',
        `export DOCKER_HOST=tcp://${endpoint}`,
        '#',
        ...note.map((line) => `# ${line}`),
        '#',
        '# Run this in this directory:',
        '# eval "$(<env.sh)"',
      ]),
    },
    {
      name: 'env.ps1',
      content: script([
        '$Env:COMPOSE_TLS_VERSION = "TLSv1_2"',
        '$Env:DOCKER_TLS_VERIFY = "1"',
        '$Env:DOCKER_CERT_PATH = $(Split-Path $script:MyInvocation.MyCommand.Path)',
        `$Env:DOCKER_HOST = "tcp://${endpoint}"`,
        ...note.map((line) => `# ${line}`),
      ]),
    },
    {
      name: 'env.cmd',
      content: script(['@echo off', 'set COMPOSE_TLS_VERSION=TLSv1_2', 'set DOCKER_TLS_VERIFY=1', 'set DOCKER_CERT_PATH=%~dp0', `set DOCKER_HOST=tcp://${endpoint}`, ...note.map((line) => `REM ${line}`)]),
    },
  ];
}
