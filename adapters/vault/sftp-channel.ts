/** Opening the SFTP channel of a login: where the server runs SFTP by the user's login shell, that shell may print into it, or never come to it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, SFTPWrapper } from 'ssh2';
import { DrydockError } from '../../domain/errors';
import { shown } from '../host/ssh-refusals';

const LISTEN_MS = 5_000;
const LISTEN_BYTES = 4_096;

/** `limitMs`: how long the login shell may take. Throws Refused, Stalled (the shell), NotPermitted. */
export async function openSftpChannel(client: Client, description: string, user: string, limitMs: number): Promise<SFTPWrapper> {
  const opening = new Promise<SFTPWrapper>((resolve, reject) => client.sftp((error, sftp) => (error === undefined ? resolve(sftp) : reject(error))));
  opening.catch(() => undefined);
  const given = new AbortController();
  try {
    const sftp = await Promise.race([opening, sleep(limitMs, null, { ref: false, signal: given.signal })]);
    if (sftp !== null) return sftp;
  } catch (error) {
    const cause = error as Error;
    const printed = (await whatShellPrints(client)) || beginning(cause.message);
    if (printed !== '') throw prints(description, user, printed, cause);
    throw new DrydockError('NotPermitted', `${description} gives a login but no SFTP (${cause.message})`, { remedy: 'allow the sftp subsystem for this user in the sshd of the server', cause });
  } finally {
    given.abort();
  }
  const printed = await whatShellPrints(client);
  if (printed !== '') throw prints(description, user, printed);
  throw new DrydockError('Stalled', `${description} gives a login, but SFTP has not begun within ${limitMs / 1000} s: the login shell of ${user} there does not come to it`, {
    remedy: 'look for what waits or replaces the shell (exec) in its start-up files, or let the server use "Subsystem sftp internal-sftp"',
  });
}

function prints(description: string, user: string, printed: string, cause?: Error): DrydockError {
  return new DrydockError('Refused', `the login shell of ${user} on ${description} prints into SFTP: ${printed}`, {
    remedy: 'silence its start-up files (~/.bashrc and the like) for logins that are not interactive, or let the server use "Subsystem sftp internal-sftp"', cause,
  });
}

/** What a login says before it does nothing; empty where commands are not allowed. */
function whatShellPrints(client: Client): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const end = (): void => resolve(shown(text));
    setTimeout(end, LISTEN_MS).unref();
    try {
      client.exec('exit 0', (error, channel) => {
        if (error !== undefined) return end();
        channel.on('error', () => undefined).once('close', end);
        channel.stderr.resume();
        channel.on('data', (chunk: Buffer) => {
          text += chunk.toString('latin1');
          if (text.length > LISTEN_BYTES) channel.close();
        });
        channel.end();
      });
    } catch {
      end();
    }
  });
}

/** Four letters that were taken for the length of a packet, as OpenSSH's own client shows them. */
function beginning(message: string): string {
  const length = Number(/^Packet length (\d+) exceeds/.exec(message)?.[1] ?? 0);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const text = bytes.toString('latin1');
  return /^[\t\n\r\x20-\x7e]{4}$/.test(text) ? `${shown(text)}...` : '';
}
