import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'ssh2';
import type { HostConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { resolveSecret } from '../secrets/secrets';
import { DEFAULT_STALL_MS, execOn } from './exec';
import type { ExecOptions, ExecResult, Host, RemoteProcess } from './host';
import { Semaphore } from './semaphore';
import { openConnection, type SshOptions } from './ssh-connect';
import { connectionLost, startProcess, type ProcessContext } from './ssh-process';

export type { SshOptions } from './ssh-connect';

/** sshd allows ten sessions on a connection, and still counts those that have just ended: so half of them. */
const MAX_COMMANDS = 5;

/**
 * A host over SSH: one connection, many commands. The host key is always checked; root's rights come from the login or from sudo.
 * Throws InvalidInput (configuration), HostKeyMismatch, AuthRejected, HostUnreachable; the signal's reason when it fires.
 */
export async function connectHost(name: string, config: HostConfig, options: SshOptions): Promise<Host> {
  const password = config.sudoPassword === undefined ? undefined : await resolveSecret(config.sudoPassword);
  const clients = await openConnection(name, config, options);
  const sudo = config.user === 'root' ? 'no' : password === undefined ? 'passwordless' : { password };
  return new SshHost(name, clients, sudo);
}

class SshHost implements Host {
  private readonly slots = new Semaphore(MAX_COMMANDS);
  private readonly context: ProcessContext;
  private lost: DrydockError | undefined;
  private readonly closed: Promise<void>;

  constructor(readonly name: string, private readonly clients: Client[], sudo: ProcessContext['sudo']) {
    const client = clients[0]!;
    this.context = { hostName: name, client, sudo, lost: () => this.lost };
    // Every running command listens for the end of the connection.
    client.setMaxListeners(0);
    for (const each of clients) each.on('error', (error) => (this.lost ??= connectionLost(name, error)));
    this.closed = new Promise((resolve) =>
      client.prependOnceListener('close', () => {
        this.lost ??= connectionLost(name);
        resolve();
      }),
    );
  }

  exec(command: string[], options: ExecOptions = {}): Promise<ExecResult> {
    return execOn(this, command, options);
  }

  async spawn(command: string[], options: Pick<ExecOptions, 'root' | 'signal' | 'stallMs'> = {}): Promise<RemoteProcess> {
    options.signal?.throwIfAborted();
    const release = await this.slots.acquire();
    try {
      const process = await startProcess(this.context, command, { root: options.root ?? true, stallMs: options.stallMs ?? DEFAULT_STALL_MS, signal: options.signal });
      void process.closed.then(release);
      return process;
    } catch (error) {
      release();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.lost ??= new DrydockError('HostUnreachable', `the SSH connection to ${this.name} is closed`);
    for (const client of this.clients) client.end();
    await Promise.race([this.closed, sleep(2_000, undefined, { ref: false })]);
    for (const client of this.clients) client.destroy();
  }
}
