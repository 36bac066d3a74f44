/** The shell function `opened` in `RESTORE.md`: decrypts one file of the backup on standard output. */
import { isPassphrase } from '../../domain/vault-format';

/** gpg asks by itself for more from 2.1 on; 1.4 and 2.0 take a passphrase so, too, and do not know the option. */
const LOOPBACK = "LOOPBACK=; if gpg --pinentry-mode loopback --version >/dev/null 2>&1; then LOOPBACK='--pinentry-mode loopback'; fi    # gpg before 2.1 does not know it";
const GPG = 'gpg --batch --quiet $LOOPBACK --passphrase-fd 3 --decrypt 3< <(printf \'%s\\n\' "$PASSPHRASE")';
const ALL = 'cat "${1%.tar.gpg}".*.keys "$1"';
/** Reads the lengths of the packets of session keys (tags 1 and 3) that stand first: `--list-packets` says where they begin only from gpg 2.1 on. */
const PLACES = [
  'places() { local at=0 length b=($(head -c 100000 | od -An -v -tu1)); while [ "${b[at]:-0}" = 193 ] || [ "${b[at]:-0}" = 195 ]; do',
  '  if [ "${b[at]}" = 195 ]; then echo "$at"; fi; length=${b[at+1]}',
  '  if [ "$length" -lt 192 ]; then at=$((at + 2 + length)); else at=$((at + 3 + (length - 192) * 256 + b[at+2] + 192)); fi',
  'done; }',
];

/** Lines that define `opened FILE`; the passphrase is taken from PASSPHRASE. `recipients`: those of each file. */
export function openedLines(recipients: readonly (readonly string[])[]): string[] {
  if (recipients.every((list) => list.filter(isPassphrase).length <= 1)) {
    return [LOOPBACK, '# Decrypts one file, with the keys that were added to it later; the passphrase goes through a pipe.', `opened() ( shopt -s nullglob; ${ALL} | ${GPG} )`];
  }
  // gpg tries a passphrase on the first passphrase packet only; a packet that does not fit lets nothing out.
  return [
    LOOPBACK,
    '# Where the packets begin that a passphrase may open.',
    ...PLACES,
    '# Decrypts one file, with the keys that were added to it later; the passphrase goes through a pipe. There are several passphrases, and',
    '# gpg tries one on the first of their packets only: so what stands before is cut off, until the passphrase fits.',
    `opened() ( shopt -s nullglob; for at in 0 $({ ${ALL}; } 2>/dev/null | places); do`,
    `  fits=$( (${ALL} | tail -c +$((at + 1)) | head -c 4000000 | ${GPG} | head -c 1 | wc -c) 2>/dev/null || true)`,
    `  if [ "$fits" = 1 ]; then ${ALL} | tail -c +$((at + 1)) | ${GPG}; exit; fi`,
    'done; echo "gpg: no key at hand opens $1" >&2; exit 1 )',
  ];
}
