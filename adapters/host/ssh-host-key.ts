/** Whether a host is the one that it should be: what known_hosts or the caller says of its key, and what is said when it shows another one. */
import { readFile } from 'node:fs/promises';
import { DrydockError } from '../../domain/errors';
import type { HostConfig } from '../../domain/config';
import { fingerprint, knownKeys, parseHostKey, type KnownKeys } from './known-hosts';

/** Throws InvalidInput: known_hosts cannot be read, or the given key is none. */
export async function expectedKeys({ address, port }: HostConfig, { knownHosts, hostKeyOverride }: { knownHosts: string; hostKeyOverride?: string }): Promise<KnownKeys> {
  if (hostKeyOverride !== undefined) return { accepted: [parseHostKey(hostKeyOverride)], revoked: [], isWithoutPort: false };
  try {
    return knownKeys(await readFile(knownHosts, 'utf8'), address, port);
  } catch (cause) {
    throw new DrydockError('InvalidInput', `ssh.knownHosts: ${knownHosts} cannot be read`, { remedy: 'make it with ssh-keyscan and compare the keys with the hosts\' own', cause });
  }
}

/** Undefined when the key is the expected one. */
export function judgeKey(name: string, { address, port }: HostConfig, key: Buffer, known: KnownKeys): DrydockError | undefined {
  const shown = fingerprint(key);
  const where = `${name} (${address}:${port})`;
  const details = { host: name, fingerprint: shown };
  if (known.revoked.some(({ blob }) => blob.equals(key))) {
    return new DrydockError('HostKeyMismatch', `${where} shows a host key that is revoked (${shown})`, { remedy: 'do not trust this host; give it a new key', details });
  }
  if (known.accepted.some(({ blob }) => blob.equals(key))) return undefined;
  if (known.accepted.length === 0 || known.isWithoutPort) {
    const other = known.isWithoutPort ? `, and is not the one that stands there for ${address} without a port` : '';
    return new DrydockError('HostKeyMismatch', `the host key of ${where} is not known; it shows ${shown}${other}`, {
      remedy: `compare it with ssh-keygen -lf on the host, then add the line of ssh-keyscan -p ${port} ${address} to ssh.knownHosts`, details,
    });
  }
  return new DrydockError('HostKeyMismatch', `${where} shows another host key than the expected one (${shown})`, {
    remedy: 'if the host was rebuilt, give its new key (targets[].hostKey of restore, or ssh.knownHosts); if not, somebody may stand in between', details,
  });
}
