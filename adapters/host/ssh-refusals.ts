/** Why a command never came to run over SSH, in one sentence that names who is in the way: sudo, or the login shell. */
import { DrydockError } from '../../domain/errors';

/** Whose login shell runs the commands. */
export interface Login {
  /** Of the host. */
  name: string;
  user: string;
  /** So long may the login, and the login shell before each command, take. */
  limitMs: number;
  /** Where that limit stands in drydock.yaml. */
  limitPlace: string;
}

/** `ended` before the command ran, `slow`: not through within the limit, `flood`: prints without end, `redirect`: its streams are not our streams. */
export type StartFault = 'ended' | 'slow' | 'flood' | 'redirect';

const START_FILES = 'its start-up files (~/.bashrc, ~/.cshrc, ~/.zshenv, config.fish and those of /etc)';
const SHOWN = 300;

export function wrongPassword({ name }: Login): DrydockError {
  return new DrydockError('AuthRejected', `sudo on ${name} does not accept the password`, { remedy: `check hosts.${name}.sudoPassword` });
}

/** `printed` is what came in place of the command's output. */
export function startRefused(login: Login, how: StartFault, printed: string): DrydockError {
  return (how === 'ended' ? ofSudo(login, printed) : undefined) ?? ofShell(login, how, printed);
}

function ofSudo(login: Login, said: string): DrydockError | undefined {
  const { name } = login;
  if (/a password is required|no password was provided|no askpass program/.test(said)) {
    return new DrydockError('AuthRejected', `sudo on ${name} asks for a password`, { remedy: `set hosts.${name}.sudoPassword, or allow the user to run sudo without one` });
  }
  if (/incorrect password attempt|Sorry, try again/.test(said)) return wrongPassword(login);
  if (/not in the sudoers file|may not run sudo|not allowed to execute/.test(said)) {
    return new DrydockError('NotPermitted', `the user on ${name} may not use sudo: ${shown(said)}`, { remedy: 'allow it in sudoers, or log in as root' });
  }
  if (/must have a tty/.test(said)) {
    return new DrydockError('NotPermitted', `sudo on ${name} insists on a terminal`, { remedy: 'take requiretty out of sudoers for this user' });
  }
  return undefined;
}

function ofShell({ name, user, limitMs, limitPlace }: Login, how: StartFault, printed: string): DrydockError {
  const shell = `the login shell of ${user} on ${name}`;
  const text = shown(printed);
  const instead = text === '' ? '' : `; it printed: ${text}`;
  switch (how) {
    case 'ended':
      return new DrydockError('CommandFailed', `no command can be started on ${name}: ${shell} ended without running it${instead}`, {
        remedy: `look for exit or exec in ${START_FILES}, and check that the user has a shell and, where it is not root, sudo`,
      });
    case 'slow':
      return new DrydockError('Stalled', `${shell} has not run a command within ${limitMs / 1000} s${instead}`, {
        remedy: `look for what waits, asks or replaces the shell (exec) in ${START_FILES}; if it is only slow, raise ${limitPlace}`,
      });
    case 'flood':
      return new DrydockError('Refused', `${shell} prints without end around a command${instead}`, { remedy: `silence ${START_FILES} for logins that are not interactive` });
    case 'redirect':
      return new DrydockError('Refused', `${shell} redirects the output of commands, so that nothing of it reaches us as it is`, {
        remedy: `look for exec with > or 2> in ${START_FILES}, and for a ForceCommand of its sshd`,
      });
  }
}

/** The end of a text, on one line and without control characters. */
export function shown(text: string): string {
  const lines = Buffer.from(text, 'latin1').toString('utf8').split(/[\r\n]+/).map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f\ufffd]+/g, ' ').trim());
  return lines.filter((line) => line !== '').slice(-3).join('; ').slice(-SHOWN);
}
