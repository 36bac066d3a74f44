/** When server and we have no algorithm in common: what the server offers instead, so that the sentence can name it. */
import { Client, type ConnectConfig } from 'ssh2';
import { DrydockError } from '../../domain/errors';

/** What a handshake is about, as ssh2 calls it, and as people do. */
const MATTERS: Record<string, string> = { 'KEX method': 'key exchange', 'Host key format': 'host key', 'C->S cipher': 'cipher', 'S->C cipher': 'cipher', 'C->S MAC': 'MAC', 'S->C MAC': 'MAC' };
const SHA1_KEYS = ['ssh-rsa', 'ssh-dss'];

/** Where server and we have nothing in common, what the server offers; undefined when this time they had. */
export interface Offer {
  matter: string;
  algorithms: string[];
}

/** Begins a handshake once more, on a connection of its own, and listens. The last thing that was compared is the one that did not fit. */
export function offerOf(settings: ConnectConfig): Promise<Offer | undefined> {
  return new Promise((resolve) => {
    let last: Offer | undefined;
    const client = new Client();
    const end = (offer?: Offer): void => {
      client.destroy();
      resolve(offer);
    };
    const listen = (line: string): void => {
      const [, what = '', list = ''] = /^Handshake: \(remote\) ([^:]+): (.*)$/.exec(line) ?? [];
      const matter = MATTERS[what];
      if (matter !== undefined) last = { matter, algorithms: list.split(',') };
    };
    client.on('error', () => end(last)).once('close', () => end(last)).once('handshake', () => end());
    client.connect({ ...settings, debug: listen, hostVerifier: () => false });
  });
}

/** The sentence. `where` names the host. */
export function nothingInCommon(where: string, { matter, algorithms }: Offer, isKeyGiven: boolean, cause: Error): DrydockError {
  const named = algorithms.map((name) => name.replace(/[^\w@.+-]/g, '?')).join(', ').slice(0, 300);
  if (matter !== 'host key') {
    return new DrydockError('Refused', `${where} and we have no ${matter} in common; it offers only ${named}`, { remedy: 'let its sshd offer one of today (OpenSSH 6.5 or newer has them)', cause });
  }
  if (algorithms.every((name) => SHA1_KEYS.includes(name))) {
    return new DrydockError('Refused', `${where} signs with SHA-1 only (${named}), which anybody may forge before long and is not accepted`, {
      remedy: 'bring its sshd to OpenSSH 7.2 or newer, or give it an ECDSA or Ed25519 host key (ssh-keygen -A) and put that into ssh.knownHosts', cause,
    });
  }
  const known = isKeyGiven ? 'that is expected' : 'that we know';
  return new DrydockError('HostKeyMismatch', `${where} has no host key of a kind ${known}; it offers ${named}`, {
    remedy: 'if the host was rebuilt, give its new key (targets[].hostKey of restore, or ssh.knownHosts)', cause,
  });
}
