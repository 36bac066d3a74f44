import { readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { Client, utils, type ConnectConfig } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import type { HostConfig } from '../../domain/config';
import { resolveSecret } from '../secrets/secrets';
import { fingerprint, knownKeys, parseHostKey, signatureAlgorithms, type KnownKeys } from './known-hosts';

export interface SshOptions {
  /** Path of an OpenSSH known_hosts file. */
  knownHosts: string;
  /** All hosts of the cluster, for `jump`. */
  hosts: Record<string, HostConfig>;
  /** The host's public key, `ssh-ed25519 AAAA...`; replaces known_hosts for this host (a rebuilt one). */
  hostKeyOverride?: string;
  signal?: AbortSignal;
  /** Where the settings of a host stand in drydock.yaml, for messages. Default: `hosts.<name>`. */
  place?: (name: string) => string;
}

const READY_TIMEOUT_MS = 20_000;
const KEEPALIVE_MS = 15_000;
const KEEPALIVE_MISSES = 4;

function placeOf(name: string, options: SshOptions): string {
  return options.place?.(name) ?? `hosts.${name}`;
}

/** A logged-in, host-key-checked SSH connection, with those of its jump hosts (last first). */
export async function openConnection(name: string, config: HostConfig, options: SshOptions, path: string[] = []): Promise<Client[]> {
  options.signal?.throwIfAborted();
  if (path.includes(name)) throw new DrydockError('InvalidInput', `the jump hosts of ${path[0]} go in a circle (${[...path, name].join(' -> ')})`);
  const through = config.jump === undefined ? [] : await openJump(name, config.jump, options, [...path, name]);
  try {
    const sock = through[0] === undefined ? undefined : await forward(through[0], name, config);
    return [await login(name, config, options, sock), ...through];
  } catch (error) {
    for (const client of through) client.end();
    throw error;
  }
}

async function openJump(name: string, jump: string, options: SshOptions, path: string[]): Promise<Client[]> {
  const config = options.hosts[jump];
  if (config === undefined) throw new DrydockError('InvalidInput', `hosts.${name}.jump names ${jump}, which is not among the hosts`, { remedy: `add hosts.${jump}` });
  return openConnection(jump, config, { ...options, hostKeyOverride: undefined }, path);
}

function forward(jump: Client, name: string, config: HostConfig): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    jump.forwardOut('127.0.0.1', 0, config.address, config.port, (error, stream) => {
      if (error === undefined) return resolve(stream);
      const prohibited = /prohibited/i.test(error.message);
      reject(new DrydockError(prohibited ? 'NotPermitted' : 'HostUnreachable', `${name} cannot be reached through ${config.jump} (${error.message})`, {
        remedy: prohibited ? `allow TCP forwarding in the sshd of ${config.jump}` : `check ${config.address}:${config.port} from ${config.jump}`, cause: error,
      }));
    });
  });
}

async function login(name: string, config: HostConfig, options: SshOptions, sock: Duplex | undefined): Promise<Client> {
  const known = await expectedKeys(config, options);
  const credentials = await credentialsOf(placeOf(name, options), config);
  const verdict: { refused?: DrydockError } = {};
  const algorithms = signatureAlgorithms(known.accepted);
  const client = new Client();
  const settings: ConnectConfig = {
    ...credentials,
    host: config.address,
    port: config.port,
    username: config.user,
    sock: sock,
    readyTimeout: READY_TIMEOUT_MS,
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: KEEPALIVE_MISSES,
    // AES-GCM is several times faster than chacha20 where ssh2 has no native part.
    algorithms: {
      cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'],
      ...(algorithms.length === 0 ? {} : { serverHostKey: algorithms as NonNullable<ConnectConfig['algorithms']>['serverHostKey'] }),
    },
    hostVerifier: (key: Buffer) => {
      verdict.refused = judge(name, config, key, known);
      return verdict.refused === undefined;
    },
  };
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      client.destroy();
      reject(options.signal?.reason as Error);
    };
    const leave = () => options.signal?.removeEventListener('abort', onAbort);
    const onError = (error: Error) => {
      leave();
      client.destroy();
      sock?.destroy();
      reject(verdict.refused ?? classify(name, placeOf(name, options), config, error));
    };
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const onClose = () => onError(new Error('the connection was closed'));
    client.on('error', onError).once('close', onClose);
    client.once('ready', () => {
      leave();
      client.removeListener('error', onError).removeListener('close', onClose);
      // The owner adds its own listener a moment later; an error in between must not end the worker.
      client.on('error', () => undefined);
      client.setNoDelay(true);
      resolve(client);
    });
    client.connect(settings);
  });
}

async function expectedKeys(config: HostConfig, options: SshOptions): Promise<KnownKeys> {
  if (options.hostKeyOverride !== undefined) return { accepted: [parseHostKey(options.hostKeyOverride)], revoked: [] };
  try {
    return knownKeys(await readFile(options.knownHosts, 'utf8'), config.address, config.port);
  } catch (cause) {
    throw new DrydockError('InvalidInput', `ssh.knownHosts: ${options.knownHosts} cannot be read`, { remedy: 'make it with ssh-keyscan and compare the keys with the hosts\' own', cause });
  }
}

/** Undefined when the key is the expected one. */
function judge(name: string, config: HostConfig, key: Buffer, known: KnownKeys): DrydockError | undefined {
  const shown = fingerprint(key);
  const where = `${name} (${config.address}:${config.port})`;
  const details = { host: name, fingerprint: shown };
  if (known.revoked.some(({ blob }) => blob.equals(key))) {
    return new DrydockError('HostKeyMismatch', `${where} shows a host key that is revoked (${shown})`, { remedy: 'do not trust this host; give it a new key', details });
  }
  if (known.accepted.some(({ blob }) => blob.equals(key))) return undefined;
  if (known.accepted.length === 0) {
    return new DrydockError('HostKeyMismatch', `the host key of ${where} is not known; it shows ${shown}`, {
      remedy: `compare it with ssh-keygen -lf on the host, then add the line of ssh-keyscan -p ${config.port} ${config.address} to ssh.knownHosts`, details,
    });
  }
  return new DrydockError('HostKeyMismatch', `${where} shows another host key than the expected one (${shown})`, {
    remedy: 'if the host was rebuilt, give its new key (targets[].hostKey of restore, or ssh.knownHosts); if not, somebody may stand in between', details,
  });
}

async function credentialsOf(place: string, config: HostConfig): Promise<Pick<ConnectConfig, 'privateKey' | 'passphrase' | 'agent'>> {
  const agent = config.agent === true ? process.env.SSH_AUTH_SOCK : config.agent === false ? undefined : config.agent;
  if (config.agent === true && agent === undefined) {
    throw new DrydockError('InvalidInput', `${place}.agent is set, but SSH_AUTH_SOCK is not set where the worker runs`, { remedy: 'start the worker with an agent, or name the socket' });
  }
  if (config.key === undefined) {
    if (agent !== undefined) return { agent };
    throw new DrydockError('InvalidInput', `${place} has neither key nor agent`, { remedy: `set ${place}.key, for example file:/etc/drydock/id_ed25519` });
  }
  const privateKey = await resolveSecret(config.key, 'key');
  const passphrase = config.keyPassphrase === undefined ? undefined : await resolveSecret(config.keyPassphrase, 'sshKeyPassphrase');
  const parsed = utils.parseKey(`${privateKey}\n`, passphrase);
  if (parsed instanceof Error) {
    const encrypted = /passphrase|encrypted/i.test(parsed.message);
    throw new DrydockError('InvalidInput', `${place}.key cannot be used (${parsed.message})`, {
      remedy: encrypted ? `set ${place}.keyPassphrase to the right passphrase` : 'give a private key in OpenSSH or PEM form',
    });
  }
  return { privateKey: `${privateKey}\n`, passphrase, agent };
}

function classify(name: string, place: string, config: HostConfig, error: Error & { level?: string; code?: string }): DrydockError {
  const where = `${name} (${config.address}:${config.port})`;
  if (error.level === 'client-authentication' || error.level === 'agent') {
    return new DrydockError('AuthRejected', `${where} does not accept the login of ${config.user}`, {
      remedy: `check ${place}.user and key, and the user's authorized_keys on the host`, cause: error,
    });
  }
  if (/no matching host key|host key/i.test(error.message) && error.level === 'handshake') {
    return new DrydockError('HostKeyMismatch', `${where} has no host key of a kind that is expected (${error.message})`, {
      remedy: 'if the host was rebuilt, give its new key (targets[].hostKey of restore, or ssh.knownHosts)', cause: error,
    });
  }
  return new DrydockError('HostUnreachable', `${where} cannot be reached over SSH (${error.code ?? error.message})`, {
    remedy: `check that the host is up and that sshd listens on ${config.address}:${config.port}`, cause: error,
  });
}
