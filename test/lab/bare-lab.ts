/** A lab without DTR for one test file: hosts, Swarm and UCP, under a name of its own so that a lab in use is left alone. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { openLab, type Lab } from '../../lab/cli/context';
import { up } from '../../lab/cli/up';

export interface Answer {
  status: number;
  body: string;
}

export async function startBareLab(name: string): Promise<Lab> {
  const lab = openLab(undefined, name);
  await up(lab, { replicas: 0, storage: 'local' });
  return lab;
}

export async function stopLab(lab: Lab | undefined): Promise<void> {
  await lab?.hosts.removeAll();
  await lab?.state.remove();
}

export interface Shell {
  code: number;
  stdout: string;
  stderr: string;
}

/** The Docker client through UCP with a bundle of the lab. */
export function dockerThroughUcp(lab: Lab, args: string[], options: { input?: Buffer | string; bundle?: string } = {}): Shell {
  const env = { ...process.env, ...lab.ucp.environment(), ...(options.bundle === undefined ? {} : { DOCKER_CERT_PATH: options.bundle }) };
  const { status, stdout, stderr } = spawnSync('docker', args, { env, input: options.input ?? '', maxBuffer: 1 << 28, timeout: 60_000 });
  return { code: status ?? -1, stdout: stdout.toString('utf8').trim(), stderr: stderr.toString('utf8').trim() };
}

/** The SSH client with the lab's key and known_hosts; no password is ever asked for. */
export function ssh(lab: Lab, login: string, command: string, input = ''): Shell {
  const options = ['-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${lab.state.file('ssh', 'known_hosts')}`, '-o', 'ConnectTimeout=5', '-i', lab.state.file('ssh', 'id_ed25519')];
  const { status, stdout, stderr } = spawnSync('ssh', ['-F', 'none', ...options, login, command], { input, timeout: 30_000 });
  return { code: status ?? -1, stdout: stdout.toString('utf8').trim(), stderr: stderr.toString('utf8').trim() };
}

/** A request to UCP with its CA checked. */
export async function ask(lab: Lab, method: string, path: string, options: { token?: string; form?: unknown; key?: string; cert?: string } = {}): Promise<Answer> {
  const headers = { ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }), 'content-type': 'application/json' };
  return await new Promise((resolve, reject) => {
    const request = https.request(
      { host: lab.names.addresses.ucp, path, method, headers, ca: readFileSync(lab.ucp.caFile), key: options.key, cert: options.cert, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    request.on('error', reject);
    request.end(options.form === undefined ? undefined : JSON.stringify(options.form));
  });
}
