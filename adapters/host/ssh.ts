import type { HostConfig } from '../../domain/config';
import { resolveSecret } from '../secrets/secrets';
import { DEFAULT_STALL_MS, execOn } from './exec';
import type { ExecOptions, ExecResult, Host, RemoteProcess } from './host';
import { Semaphore } from './semaphore';
import { loginLimitMs, type SshOptions } from './ssh-connect';
import { openLink, type SshLink } from './ssh-link';
import { startProcess } from './ssh-process';
import type { Login } from './ssh-refusals';
import type { Sudo } from './ssh-start';

export type { SshOptions } from './ssh-connect';

/** sshd allows ten sessions on a connection, and still counts those that have just ended: so half of them. */
const MAX_COMMANDS = 5;

/**
 * A host over SSH: one connection, many commands. The host key is always checked; root's rights come from the login or from sudo.
 * Throws InvalidInput (configuration), HostKeyMismatch, AuthRejected, HostUnreachable; the signal's reason when it fires.
 */
export async function connectHost(name: string, config: HostConfig, options: SshOptions): Promise<Host> {
  const password = config.sudoPassword === undefined ? undefined : await resolveSecret(config.sudoPassword);
  const link = await openLink(name, config, options);
  const login = { name, user: config.user, limitMs: loginLimitMs(config), limitPlace: `${options.place?.(name) ?? `hosts.${name}`}.loginTimeout` };
  return new SshHost(link, config.user === 'root' ? 'no' : password === undefined ? 'passwordless' : { password }, login);
}

class SshHost implements Host {
  private readonly slots = new Semaphore(MAX_COMMANDS);

  constructor(private readonly link: SshLink, private readonly sudo: Sudo, private readonly login: Login) {}

  get name(): string {
    return this.link.name;
  }

  exec(command: string[], options: ExecOptions = {}): Promise<ExecResult> {
    return execOn(this, command, options);
  }

  async spawn(command: string[], options: Pick<ExecOptions, 'root' | 'signal' | 'stallMs'> = {}): Promise<RemoteProcess> {
    options.signal?.throwIfAborted();
    const release = await this.slots.acquire();
    try {
      const { link, sudo, login } = this;
      const process = await startProcess({ link, sudo, login }, command, { root: options.root ?? true, stallMs: options.stallMs ?? DEFAULT_STALL_MS, signal: options.signal });
      void process.closed.then(release);
      return process;
    } catch (error) {
      release();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.link.close();
  }
}
