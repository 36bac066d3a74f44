/** Command lines that every login shell reads alike: sh and its kin, csh and tcsh, fish. */
import { checkCommand } from './quote';

/** Stands before a word that `UNWRAP` decodes. */
const WRAPPED = '=';
/** What shells disagree about inside single quotes (fish: a backslash; csh: `!` and line ends), and what a locale may change. */
const DISPUTED = /[\u0000-\u001f'\\!\u007f-\u00ff]/g;

/** POSIX shell text that gives the positional parameters back as `shellWords` got them. */
export const UNWRAP =
  'n=$#; while [ "$n" -gt 0 ]; do word=$1; shift; case $word in =*) word=$(printf "%b." "${word#=}"); word=${word%.};; esac; ' +
  'set -- "$@" "$word"; n=$((n-1)); done; ';

/** A word as text without any character that a login shell may take for its own; `UNWRAP` gives it back. */
export function wrap(word: string): string {
  const bytes = Buffer.from(word, 'utf8').toString('latin1');
  if (!bytes.startsWith(WRAPPED) && bytes.search(DISPUTED) < 0) return word;
  return WRAPPED + bytes.replace(DISPUTED, (character) => `\\0${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Words for any login shell. None may hold what `wrap` takes away, save backslashes before digits. Throws InvalidInput for an empty command or a NUL byte. */
export function shellWords(words: string[]): string {
  checkCommand(words);
  return words.map((word) => (/^[A-Za-z0-9_/.-]+$/.test(word) ? word : `'${word}'`)).join(' ');
}
