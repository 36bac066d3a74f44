import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Writable } from 'node:stream';
import type { Docker } from '../common/docker';
import { Etcd } from '../common/etcd';
import { sleep } from '../common/http';
import { Fatal, type Log } from '../common/log';
import { Store } from '../common/store';
import { dump, type DumpOptions } from './archive';
import { containerName } from './replica';

const CLIENT_URL = 'http://127.0.0.1:12379';
const PEER_URL = 'http://127.0.0.1:12380';

/** Stops the replica's database, reads a copy of its volume (mounted at /rethink), and starts it again whatever happens. */
export async function dumpOffline(docker: Docker, replicaId: string, out: Writable, options: DumpOptions, log: Log): Promise<void> {
  const database = containerName('rethinkdb', replicaId);
  const copy = await mkdtemp(path.join(tmpdir(), 'offline-'));
  log.info(`Stopping ${database}`);
  await docker.stop(database, 10);
  try {
    await cp('/rethink', copy, { recursive: true });
    await readCopy(copy, out, options, log);
  } finally {
    log.info(`Starting ${database}`);
    await docker.start(database);
    await rm(copy, { recursive: true, force: true });
  }
}

async function readCopy(folder: string, out: Writable, options: DumpOptions, log: Log): Promise<void> {
  const server = spawn(
    'etcd',
    ['--data-dir', folder, '--force-new-cluster', '--listen-client-urls', CLIENT_URL, '--advertise-client-urls', CLIENT_URL, '--listen-peer-urls', PEER_URL, '--log-level', 'error', '--logger', 'zap'],
    { stdio: 'ignore' },
  );
  const etcd = new Etcd(CLIENT_URL);
  try {
    for (let tries = 0; ; tries += 1) {
      if (await etcd.get('/dtr').then(() => true, () => false)) break;
      if (tries > 100 || server.exitCode !== null) throw new Fatal('Failed to read the stopped database');
      await sleep(200);
    }
    await dump(new Store(etcd), out, options, log);
  } finally {
    etcd.close();
    server.kill('SIGKILL');
  }
}
