/** The shell function `opened` in `RESTORE.md`: decrypts one file of the backup on standard output. */
import { isPassphrase } from '../../domain/vault-format';

const GPG = 'gpg --batch --quiet --pinentry-mode loopback --passphrase-fd 3 --decrypt 3< <(printf \'%s\\n\' "$PASSPHRASE")';
const ALL = 'cat "${1%.tar.gpg}".*.keys "$1"';

/** Lines that define `opened FILE`; the passphrase is taken from PASSPHRASE. `recipients`: those of each file. */
export function openedLines(recipients: readonly (readonly string[])[]): string[] {
  if (recipients.every((list) => list.filter(isPassphrase).length <= 1)) {
    return ['# Decrypts one file, with the keys that were added to it later; the passphrase goes through a pipe.', `opened() ( shopt -s nullglob; ${ALL} | ${GPG} )`];
  }
  // gpg 2.2 tries a passphrase on the first passphrase packet only; a packet that does not fit lets nothing out.
  return [
    '# Decrypts one file, with the keys that were added to it later; the passphrase goes through a pipe. There are several passphrases, and',
    '# gpg 2.2 tries one on the first of their packets only: so what stands before is cut off, until the passphrase fits.',
    `opened() ( shopt -s nullglob; for at in 0 $(${ALL} | gpg --batch --list-only --list-packets 2>/dev/null | sed -n 's/^# off=\\([0-9]*\\) .* tag=3 .*/\\1/p'); do`,
    `  fits=$( (${ALL} | tail -c +$((at + 1)) | head -c 4000000 | ${GPG} | head -c 1 | wc -c) 2>/dev/null || true)`,
    `  if [ "$fits" = 1 ]; then ${ALL} | tail -c +$((at + 1)) | ${GPG}; exit; fi`,
    'done; echo "gpg: no key at hand opens $1" >&2; exit 1 )',
  ];
}
