/** `lab exec`: a command on a host as root, with this terminal's streams. */
import { spawn } from 'node:child_process';
import type { HostName } from '../hosts/hosts';
import { ANY_CODE, run } from '../hosts/process';
import type { Lab } from './context';

/** Returns the command's exit code. With `json` its output is collected and printed as one object. */
export async function execOnHost(lab: Lab, host: HostName, command: string[], json: boolean): Promise<number> {
  const container = lab.names.container(host);
  if (json) {
    const { code, stdout, stderr } = await run('docker', ['exec', container, ...command], { okCodes: ANY_CODE, signal: lab.signal });
    process.stdout.write(`${JSON.stringify({ host, code, stdout, stderr })}\n`);
    return code;
  }
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const child = spawn('docker', ['exec', terminal ? '-it' : '-i', container, ...command], { stdio: 'inherit', signal: lab.signal });
  return await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 137));
  });
}
