/** Installs DTR through UCP with the vendor's bootstrapper, and asks it how it is. */
import { readFile } from 'node:fs/promises';
import tls from 'node:tls';
import { ADMIN, bootstrapperImage, type DtrVersion, NFS_URL, type NodeName, NODES } from '../contract';
import { ANY_CODE, LabError, waitFor } from '../hosts/process';
import type { LabState } from '../hosts/state';
import { LabHttp } from '../push/http';
import type { Lab } from './context';
import { getText } from './https';

export async function installDtr(lab: Lab, state: LabState & { dtr: DtrVersion }): Promise<void> {
  const [first, ...others] = NODES.filter((node) => state.replicaIds[node] !== undefined);
  if (first === undefined) return;
  const firstId = state.replicaIds[first]!;
  if (state.storage === 'nfs') await lab.hosts.exec(first, ['mkdir', '-p', '/srv/nfs/dtr']);
  await lab.steps.run(`DTR ${state.dtr}: install on ${first}`, async (log) => {
    const storage = state.storage === 'nfs' ? ['--nfs-storage-url', NFS_URL] : [];
    await bootstrap(lab, state.dtr, ['install', '--replica-id', firstId, '--ucp-node', first, '--dtr-external-url', `https://${lab.names.addresses.lb}`, ...storage], log);
    await waitHealthy(lab, first);
  });
  for (const node of others) {
    await lab.steps.run(`DTR ${state.dtr}: join on ${node}`, async (log) => {
      await bootstrap(lab, state.dtr, ['join', '--existing-replica-id', firstId, '--replica-id', state.replicaIds[node]!, '--ucp-node', node], log);
      await waitHealthy(lab, node);
    });
  }
  await lab.steps.run('the registry through the load balancer', async () => {
    await waitFor('the registry', 60, async () => (await registryHealth(lab)) === 'healthy', lab.signal);
    await lab.state.write('dtr-ca.pem', await registryCa(lab.names.addresses.lb));
    const http = new LabHttp({ registry: lab.names.addresses.lb, caFile: lab.state.file('dtr-ca.pem'), username: ADMIN, password: await lab.state.password(ADMIN) });
    try {
      // What a replica has reported of itself may be some seconds old, and is what others go by.
      await waitFor('every replica to report that it is well', 60, () => allReportHealth(http), lab.signal);
      await createRepositoriesOnPush(http);
    } finally {
      await http.close();
    }
  });
}

async function allReportHealth(http: LabHttp): Promise<boolean> {
  const body = await http.bytes('/api/v0/meta/cluster_status');
  const { replica_health: health } = JSON.parse(body.toString()) as { replica_health: Record<string, string> };
  return Object.values(health).every((text) => text === 'OK');
}

/** The vendor's default is off; a lab is for trying things, so a push to a new name of one's own just works. */
async function createRepositoriesOnPush(http: LabHttp): Promise<void> {
  await http.basic('POST', '/api/v0/meta/settings', { body: JSON.stringify({ createRepositoryOnPush: true }), headers: { 'content-type': 'application/json' }, expect: [202] });
}

/** One bootstrapper command through UCP; secrets go by environment name only. */
async function bootstrap(lab: Lab, version: DtrVersion, args: string[], log: (line: string) => void): Promise<void> {
  const secrets = { UCP_USERNAME: ADMIN, UCP_PASSWORD: await lab.state.password(ADMIN), UCP_CA: await readFile(lab.ucp.caFile, 'utf8') };
  const names = Object.keys(secrets).flatMap((name) => ['--env', name]);
  const { code, stderr } = await lab.ucp.docker(
    ['run', '--rm', '--log-driver', 'none', ...names, bootstrapperImage(version), ...args, '--ucp-url', lab.ucp.url],
    { env: secrets, onLine: (line) => log(message(line)), okCodes: ANY_CODE },
  );
  if (code !== 0) throw new LabError(`the bootstrapper's ${args[0]} failed: ${stderr.trim().split('\n').slice(-2).map(message).join('; ')}`);
}

/** The text of a log line as the bootstrapper writes it without a terminal. */
function message(line: string): string {
  return /msg="?(.*?)"?$/.exec(line)?.[1] ?? line;
}

/** Waits until the replica on a node says that it is healthy. */
export async function waitHealthy(lab: Lab, node: NodeName, seconds = 120): Promise<void> {
  await waitFor(`a healthy replica on ${node}`, seconds, async () => (await replicaHealth(lab, node)) === 'healthy', lab.signal);
}

/** `healthy`, the replica's own error text, or that it does not answer. */
export async function replicaHealth(lab: Lab, node: NodeName): Promise<string> {
  return await pingHealth(lab.names.addresses[node]);
}

/** The same through the load balancer. */
export async function registryHealth(lab: Lab): Promise<string> {
  return await pingHealth(lab.names.addresses.lb);
}

async function pingHealth(host: string): Promise<string> {
  try {
    const { status, body } = await getText(`https://${host}/_ping`);
    if (status === 200) return 'healthy';
    return (JSON.parse(body) as { Error?: string }).Error ?? `status ${status}`;
  } catch (error) {
    return `no answer (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** The authority that the registry's certificate chains to, as the registry presents it. */
async function registryCa(host: string): Promise<string> {
  const { status, body } = await getText(`https://${host}/ca`);
  if (status === 200 && body.includes('BEGIN CERTIFICATE')) return body;
  return await new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port: 443, rejectUnauthorized: false }, () => {
      let certificate = socket.getPeerCertificate(true);
      while (certificate.issuerCertificate !== undefined && certificate.issuerCertificate.fingerprint256 !== certificate.fingerprint256) certificate = certificate.issuerCertificate;
      socket.end();
      if (certificate.raw === undefined) return reject(new LabError('the registry presents no certificate'));
      return resolve(`-----BEGIN CERTIFICATE-----\n${certificate.raw.toString('base64').replace(/(.{64})/g, '$1\n').trimEnd()}\n-----END CERTIFICATE-----\n`);
    });
    socket.on('error', reject);
  });
}
