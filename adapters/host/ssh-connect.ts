import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Client, utils, type ConnectConfig } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import type { HostConfig } from '../../domain/config';
import { toDuration } from '../../domain/duration';
import { resolveSecret } from '../secrets/secrets';
import { signatureAlgorithms } from './known-hosts';
import { expectedKeys, judgeKey } from './ssh-host-key';
import { nothingInCommon, offerOf } from './ssh-offer';

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
  /** Makes the socket to the first host. Default: `net.connect`. */
  call?: (address: { host: string; port: number }) => Socket;
}

/** So long may a host take to take a call. */
const CALL_TIMEOUT_MS = 20_000;
/** So long may a login take: `UseDNS` and SSSD wait half a minute and more for servers that are gone. */
const DEFAULT_LOGIN_TIMEOUT = '60s';
const KEEPALIVE_MS = 15_000;
const KEEPALIVE_MISSES = 4;

export function loginLimitMs({ loginTimeout }: HostConfig): number {
  return toDuration(loginTimeout ?? DEFAULT_LOGIN_TIMEOUT).ms;
}

function placeOf(name: string, options: SshOptions): string {
  return options.place?.(name) ?? `hosts.${name}`;
}

/** A logged-in, host-key-checked SSH connection, with those of its jump hosts (last first). */
export async function openConnection(name: string, config: HostConfig, options: SshOptions, path: string[] = []): Promise<Client[]> {
  options.signal?.throwIfAborted();
  if (path.includes(name)) throw new DrydockError('InvalidInput', `the jump hosts of ${path[0]} go in a circle (${[...path, name].join(' -> ')})`);
  const through = config.jump === undefined ? [] : await openJump(name, config.jump, options, [...path, name]);
  try {
    const [last] = through;
    const dial = last === undefined ? () => dialDirectly(config, options) : () => forward(last, name, config);
    return [await login(name, config, options, dial), ...through];
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

async function login(name: string, config: HostConfig, options: SshOptions, dial: () => Promise<Duplex>): Promise<Client> {
  const known = await expectedKeys(config, options);
  const verdict: { refused?: DrydockError } = {};
  const settings: ConnectConfig = {
    ...(await credentialsOf(placeOf(name, options), config)),
    host: config.address,
    port: config.port,
    username: config.user,
    readyTimeout: loginLimitMs(config),
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: KEEPALIVE_MISSES,
    algorithms: {
      // AES-GCM is several times faster than chacha20 where ssh2 has no native part.
      cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'],
      serverHostKey: signatureAlgorithms(known),
    },
    hostVerifier: (key: Buffer) => {
      verdict.refused = judgeKey(name, config, key, known);
      return verdict.refused === undefined;
    },
  };
  try {
    return await shakeHands({ ...settings, sock: await dial() }, options.signal);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof DrydockError) throw error;
    const failure = error as SshError;
    const unmatched = failure.level === 'handshake' && /no matching/i.test(failure.message);
    const offer = unmatched ? await dial().then((sock) => offerOf({ ...settings, sock }), () => undefined) : undefined;
    throw verdict.refused ?? (offer && nothingInCommon(whereOf(name, config), offer, known.accepted.length > 0, failure)) ?? classify(name, placeOf(name, options), config, failure);
  }
}

/** Rejects with the error of ssh2, or the signal's reason. */
function shakeHands(settings: ConnectConfig, signal: AbortSignal | undefined): Promise<Client> {
  const client = new Client();
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      client.destroy();
      reject(signal?.reason as Error);
    };
    const leave = () => signal?.removeEventListener('abort', onAbort);
    const onError = (error: Error) => {
      leave();
      client.destroy();
      settings.sock?.destroy();
      reject(error);
    };
    if (signal?.aborted) return onError(signal.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
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

/** A host that is off takes no call: that is known sooner than what a slow login is given. Rejects with the socket's error, or the signal's reason. */
function dialDirectly({ address, port }: HostConfig, { signal, call = connect }: SshOptions): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = call({ host: address, port });
    const timer = setTimeout(() => socket.destroy(new Error(`it did not answer within ${CALL_TIMEOUT_MS / 1000} s`)), CALL_TIMEOUT_MS);
    const onAbort = () => {
      socket.destroy(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const leave = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    socket.once('error', (error) => {
      leave();
      reject(error);
    });
    socket.once('connect', () => {
      leave();
      socket.removeAllListeners('error').on('error', () => undefined);
      resolve(socket);
    });
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

type SshError = Error & { level?: string; code?: string };

function whereOf(name: string, config: HostConfig): string {
  return `${name} (${config.address}:${config.port})`;
}

function classify(name: string, place: string, config: HostConfig, error: SshError): DrydockError {
  const where = whereOf(name, config);
  if (error.level === 'client-authentication' || error.level === 'agent') {
    return new DrydockError('AuthRejected', `${where} does not accept the login of ${config.user}`, {
      remedy: `check ${place}.user and key, and the user's authorized_keys on the host`, cause: error,
    });
  }
  if (error.level === 'client-timeout') {
    return new DrydockError('HostUnreachable', `${where} takes the call, but has not let us in within ${loginLimitMs(config) / 1000} s`, {
      remedy: `look what its login waits for (UseDNS of sshd, SSSD, PAM), or raise ${place}.loginTimeout`, cause: error,
    });
  }
  return new DrydockError('HostUnreachable', `${where} cannot be reached over SSH (${error.code ?? error.message})`, {
    remedy: `check that the host is up and that sshd listens on ${config.address}:${config.port}`, cause: error,
  });
}
