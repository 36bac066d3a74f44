import { setTimeout as sleep } from 'node:timers/promises';
import { DrydockError } from '../../domain/errors';
import { ChannelProcess, KILL_GRACE_MS, killer, runQuietly, type Channel, type Connection, type StartOptions } from './process';
import type { SshLink } from './ssh-link';
import { SshStart, type Sudo } from './ssh-start';

/** What a process needs from its SSH connection. */
export interface ProcessContext {
  link: SshLink;
  sudo: Sudo;
}

/** Starts a command; resolves when it runs (sudo passed). Throws AuthRejected, NotPermitted, HostUnreachable, Busy. */
export async function startProcess(context: ProcessContext, command: string[], options: StartOptions): Promise<ChannelProcess> {
  const { link, sudo } = context;
  const start = new SshStart(link.name, command, options.root ? sudo : 'no');
  const connection = connectionOf(context);
  const process = await openWhenFree(link, start.text, (channel) => new ChannelProcess(connection, channel, command, options, start));
  await process.started();
  return process;
}

function connectionOf(context: ProcessContext): Connection {
  const { link } = context;
  return {
    hostName: link.name,
    lost: () => link.lost(),
    onLost: (listener) => link.onClose(listener),
    endGroup: (group, root) => runQuietly(() => startProcess(context, killer(group), { root, stallMs: KILL_GRACE_MS })),
  };
}

/** A session that has just ended may still be counted by sshd: such a refusal is waited out for a second. */
async function openWhenFree<T>(link: SshLink, command: string, use: (channel: Channel) => T): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await link.exec(command, use);
    } catch (error) {
      if (n === 10 || !(error instanceof DrydockError && error.kind === 'Busy')) throw error;
      await sleep(100);
    }
  }
}
