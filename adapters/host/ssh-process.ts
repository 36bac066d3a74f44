import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientChannel } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import { ChannelProcess, KILL_GRACE_MS, killer, runQuietly, type Channel, type Connection, type Exit, type StartOptions } from './process';
import { SshStart, type Sudo } from './ssh-start';

/** What a process needs from its SSH connection. */
export interface ProcessContext {
  hostName: string;
  client: Client;
  /** Why the connection ended, once it did. */
  lost(): DrydockError | undefined;
  sudo: Sudo;
}

/** Starts a command; resolves when it runs (sudo passed). Throws AuthRejected, NotPermitted, HostUnreachable, Busy. */
export async function startProcess(context: ProcessContext, command: string[], options: StartOptions): Promise<ChannelProcess> {
  const start = new SshStart(context.hostName, command, options.root ? context.sudo : 'no');
  const connection = connectionOf(context);
  const process = await openWhenFree(context, start.text, (channel) => new ChannelProcess(connection, overSsh(context, channel), command, options, start));
  await process.started();
  return process;
}

function connectionOf(context: ProcessContext): Connection {
  const { client, hostName } = context;
  return {
    hostName,
    lost: () => context.lost(),
    onLost: (listener) => {
      const onClose = () => listener(context.lost() ?? connectionLost(hostName));
      client.once('close', onClose);
      return () => client.removeListener('close', onClose);
    },
    endGroup: (group, root) => runQuietly(() => startProcess(context, killer(group), { root, stallMs: KILL_GRACE_MS })),
  };
}

/** Must be called in the same turn in which the channel opens: its exit status may stand in the very next packet. */
function overSsh(context: ProcessContext, channel: ClientChannel): Channel {
  const { hostName, client } = context;
  const closed = new Promise((resolve) => channel.once('close', resolve));
  const status = new Promise<Exit>((resolve, reject) => {
    channel.once('exit', (code: number | null, signal?: string) => resolve(signal === undefined ? { code } : { code: null, signal }));
    const gone = () => reject(context.lost() ?? connectionLost(hostName));
    channel.once('close', gone);
    client.once('close', gone);
    channel.once('close', () => client.removeListener('close', gone));
  });
  status.catch(() => undefined);
  channel.on('error', () => undefined);
  return {
    input: channel,
    output: channel,
    errors: channel.stderr,
    status,
    closed,
    release: () => {
      channel.unpipe();
      channel.resume();
      channel.close();
    },
  };
}

/** A session that has just ended may still be counted by sshd: such a refusal is waited out for a second. */
async function openWhenFree<T>(context: ProcessContext, command: string, use: (channel: ClientChannel) => T): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await openChannel(context, command, use);
    } catch (error) {
      if (n === 10 || !(error instanceof DrydockError && error.kind === 'Busy')) throw error;
      await sleep(100);
    }
  }
}

/** `use` is called in the same turn in which the channel opens: a short command's exit may stand in the very next packet. */
function openChannel<T>(context: ProcessContext, command: string, use: (channel: ClientChannel) => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const lost = context.lost();
    if (lost !== undefined) return reject(lost);
    const onLost = () => reject(context.lost() ?? connectionLost(context.hostName));
    context.client.once('close', onLost);
    try {
      context.client.exec(command, (error, channel) => {
        context.client.removeListener('close', onLost);
        if (error === undefined) return resolve(use(channel));
        reject(context.lost() ?? new DrydockError('Busy', `${context.hostName} opens no further SSH session (${error.message})`, { remedy: 'raise MaxSessions of sshd, or try again', cause: error }));
      });
    } catch (cause) {
      context.client.removeListener('close', onLost);
      reject(context.lost() ?? connectionLost(context.hostName, cause));
    }
  });
}

export function connectionLost(hostName: string, cause?: unknown): DrydockError {
  return new DrydockError('HostUnreachable', `the SSH connection to ${hostName} was lost`, { remedy: 'check that the host is up and can be reached', cause });
}
