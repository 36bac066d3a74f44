import { setTimeout as sleep } from 'node:timers/promises';
import { DrydockError } from '../../domain/errors';
import { exitOf } from './container-start';
import { OwnOutput } from './marks';
import { ChannelProcess, KILL_GRACE_MS, killer, runQuietly, type Channel, type Connection, type Exit, type StartOptions } from './process';
import type { Login } from './ssh-refusals';
import type { SshLink } from './ssh-link';
import { SshStart, type Sudo } from './ssh-start';

/** What a process needs from its SSH connection. */
export interface ProcessContext {
  link: SshLink;
  sudo: Sudo;
  login: Login;
}

/** Starts a command; resolves when it runs (sudo passed). Throws AuthRejected, NotPermitted, HostUnreachable, Busy. */
export async function startProcess(context: ProcessContext, command: string[], options: StartOptions): Promise<ChannelProcess> {
  const { link, sudo, login } = context;
  const start = new SshStart(login, command, options.root ? sudo : 'no');
  const connection = connectionOf(context);
  const process = await openWhenFree(link, start.text, (channel) => new ChannelProcess(connection, ownPart(channel, start, login, command), command, options, start));
  await process.started();
  return process;
}

/** The channel without what others print on it, and with the command's own word on how it ended. */
function ownPart(channel: Channel, start: SshStart, login: Login, command: string[]): Channel {
  const output = new OwnOutput(start.output, () => start.look());
  channel.output.pipe(output);
  // Broken, or nobody reads any more.
  channel.output.once('close', () => {
    if (!channel.output.readableEnded) output.destroy();
  });
  const read = new Promise<void>((resolve) => output.once('finish', resolve).once('close', resolve));
  const status = (async (): Promise<Exit> => {
    const exit = await channel.status;
    await read;
    if (start.output.code !== null) return exitOf(start.output.code);
    // A shell's exit code may be another one's than the command's; only a good one must not be believed.
    if (exit.code !== 0 || start.isPending || !output.writableFinished) return exit.code === null ? exit : { ...exit, ...exitOf(exit.code) };
    throw new DrydockError('CommandFailed', `the output of ${command[0]} on ${login.name} has no end: something between its sshd and the command takes from it, or prints much behind it`, {
      remedy: `look at the login shell of ${login.user} on ${login.name} and at a ForceCommand of its sshd`,
    });
  })();
  status.catch(() => undefined);
  return {
    input: channel.input,
    inputPending: () => channel.inputPending?.() ?? 0,
    set onInput(listener: () => void) {
      channel.onInput = listener;
    },
    output,
    errors: channel.errors,
    status,
    closed: channel.closed,
    release: () => {
      channel.release();
      output.destroy();
    },
    giveBack: (piece) => channel.giveBack?.(piece),
  };
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
