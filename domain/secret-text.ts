/** What a secret may be, by who reads it: nothing may pass that its reader would read in another way than it stands in its file. */

/**
 * `passphrase`: gpg, from the same file, up to the first line end. `formerPassphrase`: the same, for older backups. `keyPassphrase`: gpg's agent.
 * `sshKeyPassphrase`: ssh-keygen. `login`: UCP's API, an environment and a person's terminal. `sudo`: one line of standard input. `header`: part of an
 * HTTP header. `signing`: a secret that signs HTTP requests and is never sent. `key`: a private key in a text of many lines, which its own parser judges.
 */
export type SecretReader = 'passphrase' | 'formerPassphrase' | 'keyPassphrase' | 'sshKeyPassphrase' | 'login' | 'sudo' | 'header' | 'signing' | 'key';

/** What is wrong, to be put behind the secret's reference; never a part of the secret. */
export interface SecretFault {
  what: string;
  remedy: string;
}

interface Rule {
  /** The one line end at the end that does not belong to the secret. */
  end: RegExp;
  /** Whether white space alone is as good as nothing. */
  needsInk?: true;
  refused: readonly [RegExp, SecretFault][];
  maxBytes?: number;
}

const ONE_LINE = 'write the secret alone, as one line';
const PASSPHRASE_REMEDY = 'use one line of text; openssl rand -base64 33 makes a good one';

/** gpg takes all before the first line feed, a carriage return included. */
const GPG_REFUSED: Rule['refused'] = [
  [/^\ufeff/, { what: 'begins with a byte order mark, which nobody sees and gpg takes for a part of the passphrase', remedy: 'save it as UTF-8 without a byte order mark' }],
  [/^[^\n]*\r$/, { what: 'ends in a carriage return, which gpg takes for a part of the passphrase', remedy: 'save it with the line ends of Unix: the passphrase and one line feed' }],
  [/[\n\r]/, { what: 'holds several lines, of which gpg reads the first alone', remedy: PASSPHRASE_REMEDY }],
  [/[\u0000-\u001f\u007f-\u009f]/, { what: 'holds control characters, so it is not a passphrase that people can type or gpg reads as it stands', remedy: PASSPHRASE_REMEDY }],
];
const LINE_REFUSED: Rule['refused'] = [
  [/[\n\r]/, { what: 'holds several lines', remedy: ONE_LINE }],
  [/\0/, { what: 'holds a NUL character', remedy: ONE_LINE }],
];

/** The longest line that a terminal hands on, where RESTORE.md asks for the passphrase. */
const TERMINAL_LINE_BYTES = 4095;
/** What gpg's agent takes. */
const AGENT_BYTES = 255;

const [LF, LF_OR_CRLF] = [/\n$/, /\r?\n$/];
const passphrase: Rule = { end: LF, needsInk: true, refused: GPG_REFUSED, maxBytes: TERMINAL_LINE_BYTES };
const line: Rule = { end: LF_OR_CRLF, refused: LINE_REFUSED };

const RULES: Record<SecretReader, Rule> = {
  passphrase,
  formerPassphrase: passphrase,
  keyPassphrase: { ...passphrase, maxBytes: AGENT_BYTES },
  sshKeyPassphrase: line,
  login: line,
  sudo: line,
  header: { ...line, refused: [...LINE_REFUSED, [/[^\x21-\x7e]/, { what: 'holds blanks or characters that an HTTP header cannot carry', remedy: 'write what the server gave you, and nothing else' }]] },
  signing: line,
  key: { end: LF_OR_CRLF, needsInk: true, refused: [] },
};

/** Older backups that were written before such a text was refused. */
const FORMER_REMEDY = '; what was written for the text as it stands opens by hand alone: gpg --pinentry-mode loopback --passphrase TEXT --decrypt FILE';

/** The secret in what a file or a variable holds, without one line end; or what keeps its reader from reading it. `null` as content stands for bytes that are no UTF-8. */
export function readSecret(content: string | null, reader: SecretReader): { secret: string } | { fault: SecretFault } {
  const rule = RULES[reader];
  const refuse = ({ what, remedy }: SecretFault): { fault: SecretFault } => ({ fault: { what, remedy: reader === 'formerPassphrase' ? `${remedy}${FORMER_REMEDY}` : remedy } });
  // What could not be decoded stands as U+FFFD in a variable.
  if (content === null || (reader !== 'key' && content.includes('\ufffd'))) return refuse({ what: 'is not text (UTF-8)', remedy: 'use text; of random bytes, their base64: openssl rand -base64 33' });
  const secret = content.replace(rule.end, '');
  if (secret === '' || (rule.needsInk && secret.trim() === '')) {
    return { fault: { what: content === '' ? 'is empty' : secret === '' ? 'holds nothing but a line end' : 'holds nothing but white space', remedy: 'write the secret there, or leave the setting out' } };
  }
  const found = rule.refused.find(([pattern]) => pattern.test(secret));
  if (found) return refuse(found[1]);
  const { length } = new TextEncoder().encode(secret);
  if (rule.maxBytes !== undefined && length > rule.maxBytes) {
    return refuse({ what: `has ${length} bytes, and its reader takes ${rule.maxBytes} at most`, remedy: PASSPHRASE_REMEDY });
  }
  return { secret };
}
