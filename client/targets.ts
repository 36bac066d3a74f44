/** `--target REPLICA=NODE[,host=..,port=..,key=..]`: which host takes the place of a lost one. */
import { readFile } from 'node:fs/promises';
import type { RestoreTarget } from '../domain/contract';
import { restoreTarget } from '../domain/contract';
import { DrydockError } from '../domain/errors';
import { mistakesInWords } from '../domain/mistakes';

/** Throws InvalidInput naming the part that is wrong. `key` is a public host key, or a file that holds one. */
export async function parseTarget(text: string): Promise<RestoreTarget> {
  const [first = '', ...more] = text.split(',');
  const [replicaId, node] = splitOnce(first);
  const fields: Record<string, unknown> = { replicaId, node };
  for (const part of more) {
    const [name, value = ''] = splitOnce(part);
    if (name === 'host') fields.host = value;
    else if (name === 'port') fields.port = Number(value);
    else if (name === 'key') fields.hostKey = await readHostKey(value);
    else throw invalid(text, `unknown part "${name}", expected host, port or key`);
  }
  const parsed = restoreTarget.safeParse(fields);
  if (!parsed.success) throw invalid(text, mistakesInWords(parsed.error, restoreTarget));
  return parsed.data;
}

async function readHostKey(value: string): Promise<string> {
  if (/^(ssh|ecdsa|sk)-\S+ \S+/.test(value)) return value.split(' ').slice(0, 2).join(' ');
  try {
    const line = (await readFile(value, 'utf8')).trim().split('\n', 1)[0] ?? '';
    if (/^(ssh|ecdsa|sk)-\S+ \S+/.test(line)) return line.split(' ').slice(0, 2).join(' ');
  } catch (cause) {
    throw new DrydockError('InvalidInput', `--target: key: expected a public host key like "ssh-ed25519 AAAA..." or a file that holds one, and ${value} cannot be read`, { cause });
  }
  throw new DrydockError('InvalidInput', `--target: key: the file ${value} holds no public host key`, { remedy: 'take /etc/ssh/ssh_host_ed25519_key.pub of the new host' });
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function invalid(text: string, problem: string): DrydockError {
  return new DrydockError('InvalidInput', `--target ${text}: ${problem}`, { remedy: 'write it as REPLICA=NODE[,host=ADDRESS,port=PORT,key=FILE]' });
}
