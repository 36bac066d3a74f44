import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = path.resolve(__dirname, '..', '..');

export interface BareLab {
  config: string;
  ucpUrl: string;
  ucpCa: string;
  passwordFile: string;
  bundle: string;
  knownHosts: string;
  nodes: { name: string; host: string; port: number; user: string; keyFile: string }[];
}

/** Hosts, Swarm and UCP without DTR, in a lab of its own (DRYDOCK_LAB names another). Safe to call when it is up already. */
export async function bareLabUp(name: string): Promise<BareLab> {
  const { stdout } = await lab(name, 'up', '--bare', '--json');
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as BareLab;
}

export async function labDown(name: string): Promise<void> {
  await lab(name, 'down');
}

function lab(name: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, DRYDOCK_LAB: name };
  return run(process.execPath, ['--import', 'tsx', path.join(ROOT, 'lab', 'cli', 'main.ts'), ...args], { cwd: ROOT, env, maxBuffer: 64 * 1024 * 1024 });
}
