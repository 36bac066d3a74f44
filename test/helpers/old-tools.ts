/** Tools as a registry's hosts had them in its own time (CentOS 7, Ubuntu 16.04, Docker 17.06): wrappers that refuse what came later, by the words of the tool itself. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** After 1.26; CentOS 7 has this one with xattrs patched in. */
const NEWER_TAR = [
  '--skip-old-files', '--keep-directory-symlink', '--acls', '--sort', '--one-top-level', '--exclude-ignore', '--exclude-vcs-ignores', '--verbatim-files-from', '--no-verbatim-files-from',
  '--owner-map', '--group-map', '--clamp-mtime', '--hole-detection', '--zstd',
];

/** Passes a call on to `real` (a path) unless an option is among those that it has not got. */
function refusing(real: string, options: string[], said: string, status: number): string {
  const patterns = options.flatMap((option) => [option, `${option}=*`]).join('|');
  return `#!/bin/sh\nfor option in "$@"; do case $option in ${patterns}) echo "${said}" >&2; exit ${status} ;; esac; done\nexec ${real} "$@"\n`;
}

/** tar 1.26 of this machine's own. */
export const OLD_TAR = refusing('/usr/bin/tar', NEWER_TAR, "tar: unrecognized option '$option'", 64);
/** Debian's gpg 1.4, close to that of Ubuntu 16.04: it refuses by itself what it does not know. */
export const OLD_GPG = '#!/bin/sh\nexec /usr/bin/gpg1 "$@"\n';
/** Options of the client that came with 17.07 and 18.09. `real`: what answers the rest. */
export const oldDocker = (real: string): string => refusing(real, ['--quiet', '--password-stdin', '--mount', '--pull'], 'unknown flag: $option', 125).replace('for option', '[ "$1" = ps ] || for option');

export function writeTools(folder: string, tools: Record<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(tools)) {
    writeFileSync(path.join(folder, name), text);
    chmodSync(path.join(folder, name), 0o755);
  }
}
