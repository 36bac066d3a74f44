/** Whether sudo writes down what our commands print or read: that is the whole registry, on the host's own disk. */
import type { Host } from './host';

export interface SudoLog {
  output: boolean;
  input: boolean;
  folder: string;
}

const DEFAULT_FOLDER = '/var/log/sudo-io';

/** Sentences for a check; none where the user is root, or sudo does not tell. */
export async function sudoLogWarnings(host: Host, user: string): Promise<string[]> {
  if (user === 'root') return [];
  // As root: so that sudo asks for no password, and tells of another user.
  const { code, stdout } = await host.exec(['sudo', '-n', '-l', '-U', user], { okCodes: [0, 1, 127] });
  if (code !== 0) return [];
  const { output, input, folder } = parseSudoList(stdout);
  const what = [...(output ? ['log_output'] : []), ...(input ? ['log_input'] : [])].join(' and ');
  if (what === '') return [];
  return [`sudo on ${host.name} keeps what commands of ${user} ${output ? 'print' : 'read'} (${what}): the registry's images go to ${folder} of that host as well, until it is full. Add to its sudoers: Defaults:${user} !log_output, !log_input`];
}

/** Reads `sudo -l -U USER`: the matching defaults, those for commands, and the tags of what may be run. The last word counts. */
export function parseSudoList(text: string): SudoLog {
  const log: SudoLog = { output: false, input: false, folder: DEFAULT_FOLDER };
  const [defaults = '', ...others] = text.split(/\n\s*\n/);
  for (const word of defaults.replace(/^[^\n]*:\n/, '').split(/,\s+/)) {
    const trimmed = word.trim();
    const flag = /^(!?)log_(output|input)$/.exec(trimmed);
    if (flag) log[flag[2] as 'output' | 'input'] = flag[1] === '';
    const folder = /^iolog_dir=(\S+)$/.exec(trimmed)?.[1];
    if (folder !== undefined) log.folder = folder.replaceAll('\\', '');
  }
  for (const line of others.join('\n').split('\n').map((each) => each.trim())) {
    const [, command, words = ''] = /^Defaults!(\S+)\s+(.*)$/.exec(line) ?? [];
    if (command !== undefined && isOurs(command)) for (const [, not, kind] of words.matchAll(/(!?)log_(output|input)\b/g)) log[kind as 'output' | 'input'] = not === '';
    if (/^\(.*\)/.test(line)) readTags(line.replace(/^\([^)]*\)\s*/, ''), log);
  }
  return log;
}

/** `NOPASSWD: LOG_OUTPUT: ALL, NOLOG_OUTPUT: /bin/ls`: a tag holds until its opposite. */
function readTags(commands: string, log: SudoLog): void {
  const tags: Partial<Record<'output' | 'input', boolean>> = {};
  for (const part of commands.split(/,\s+/)) {
    for (const [, not, kind] of part.matchAll(/\b(NO)?LOG_(OUTPUT|INPUT):/g)) tags[kind!.toLowerCase() as 'output' | 'input'] = not === undefined;
    if (isOurs(part.replace(/^(?:[A-Z_]+:\s*)*/, '').split(/\s+/)[0] ?? '')) Object.assign(log, tags);
  }
}

/** Each of our commands begins with a shell. */
function isOurs(command: string): boolean {
  return command === 'ALL' || command.split(',').some((each) => /\/sh$/.test(each) || each === 'ALL');
}
