/** A real S3 server (versitygw) on loop-back, over a folder. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { s3Schema, type S3Config } from '../../domain/config';
import { freePort } from './free-port';
import type { KeyPair } from './pki';

export interface TestS3 {
  endpoint: string;
  port: number;
  /** Where buckets are folders. */
  data: string;
  /** An ordinary client with the keys of the owner. */
  client: S3Client;
  /** Settings of a vault in a bucket of this server. */
  settings(bucket: string, more?: Partial<S3Config>): S3Config;
  makeBucket(bucket: string, options?: { lock?: boolean }): Promise<void>;
  /** Keys of a login that may list this bucket and get what is in it, and nothing else. */
  addReader(bucket: string): Promise<Pick<S3Config, 'accessKeyId' | 'secretAccessKey'>>;
  stop(): Promise<void>;
}

const ACCESS = 'owner';
const SECRET = 'secret-of-the-tests';
const READER = { access: 'reader', secret: 'secret-of-the-reader' };
/** The owner's, for what has to sign by itself. */
export const OWNER = { access: ACCESS, secret: SECRET };

/** VERSITYGW_PATH, PATH, what set-up has built. */
export function findVersitygw(): string {
  const named = process.env['VERSITYGW_PATH'];
  if (named) return named;
  const candidates = [...(process.env['PATH'] ?? '').split(path.delimiter), path.resolve(__dirname, '..', '..', '.drydock', 'bin')].map((folder) => path.join(folder, 'versitygw'));
  const found = candidates.find((file) => existsSync(file));
  if (found === undefined) throw new Error('versitygw is missing: run the tests by `npm run test:all`, whose set-up builds it, or name it in VERSITYGW_PATH');
  return found;
}

/** `root`: where its data go, for a small disk; default a fresh folder. `readOnly`: the server refuses every change. */
export async function startVersitygw(options: { tls?: KeyPair; root?: string; readOnly?: boolean; data?: string } = {}): Promise<TestS3> {
  const own = mkdtempSync(path.join(tmpdir(), 'drydock-s3-'));
  const root = options.root ?? own;
  const folder = (name: string): string => {
    const made = path.join(root, name);
    mkdirSync(made, { recursive: true });
    return made;
  };
  const data = options.data ?? folder('data');
  const fileWith = (name: string, text: string): `file:${string}` => {
    writeFileSync(path.join(own, name), `${text}\n`, { mode: 0o600 });
    return `file:${path.join(own, name)}`;
  };
  const owner = { accessKeyId: fileWith('access', ACCESS), secretAccessKey: fileWith('secret', SECRET) };
  const tls: string[] = [];
  if (options.tls) {
    for (const part of ['cert', 'key'] as const) {
      writeFileSync(path.join(own, `tls.${part}`), options.tls[part], { mode: 0o600 });
      tls.push(`--${part}`, path.join(own, `tls.${part}`));
    }
  }
  const logins = path.join(own, 'logins');
  mkdirSync(logins);
  const port = await freePort();
  const program = findVersitygw();
  const server = spawn(program, ['--port', `127.0.0.1:${port}`, '--quiet', '--iam-dir', logins, ...tls, ...(options.readOnly ? ['--readonly'] : []), 'posix', '--versioning-dir', folder('versions'), data], {
    env: { PATH: process.env['PATH'], ROOT_ACCESS_KEY: ACCESS, ROOT_SECRET_KEY: SECRET }, stdio: 'ignore', cwd: own,
  });
  server.on('error', () => undefined);
  await listening(port, server, program);
  const endpoint = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: ACCESS, secretAccessKey: SECRET } });
  return {
    endpoint, port, data, client,
    settings: (bucket, more = {}) => s3Schema.parse({ bucket, endpoint, ...owner, ...more }),
    makeBucket: async (bucket, { lock } = {}) => void (await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: lock }))),
    async addReader(bucket) {
      execFileSync(program, ['admin', '--endpoint-url', endpoint, 'create-user', '--access', READER.access, '--secret', READER.secret, '--role', 'user'], {
        env: { PATH: process.env['PATH'], ADMIN_ACCESS_KEY_ID: ACCESS, ADMIN_SECRET_ACCESS_KEY: SECRET }, stdio: 'ignore',
      });
      const allow = (action: string, resource: string): object => ({ Effect: 'Allow', Principal: { AWS: [READER.access] }, Action: [action], Resource: `arn:aws:s3:::${resource}` });
      const policy = { Version: '2012-10-17', Statement: [allow('s3:ListBucket', bucket), allow('s3:GetObject', `${bucket}/*`)] };
      await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(policy) }));
      return { accessKeyId: fileWith('reader-access', READER.access), secretAccessKey: fileWith('reader-secret', READER.secret) };
    },
    async stop() {
      client.destroy();
      server.kill();
      if (server.exitCode === null && server.signalCode === null) await new Promise((resolve) => server.once('exit', resolve));
      rmSync(own, { recursive: true, force: true });
    },
  };
}

async function listening(port: number, server: ChildProcess, program: string): Promise<void> {
  for (let n = 0; n < 200; n += 1) {
    if (server.exitCode !== null || server.pid === undefined) throw new Error(`${program} does not start (code ${server.exitCode})`);
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (isUp) return;
    await sleep(50);
  }
  throw new Error(`${program} does not listen on ${port}`);
}
