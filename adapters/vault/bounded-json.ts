/** JSON out of a vault, which a foreign hand may have written: refused before it is parsed when it would fill the memory or the stack. */
import { DrydockError } from '../../domain/errors';

const MAX_DEPTH = 64;
/** A manifest has some thousand, a line of a list some dozen. */
const MAX_VALUES = 100_000;
const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [...'"\\,:[]{}'].map((letter) => letter.charCodeAt(0));

/** Throws IntegrityMismatch. `what`: the file, for people. */
export function parseBounded(content: Buffer, what: string): unknown {
  const refuse = (why: string, cause?: unknown): DrydockError => new DrydockError('IntegrityMismatch', `${what} ${why}`, { remedy: 'the file is damaged or foreign; use another backup', cause });
  let depth = 0;
  let values = 1;
  let inText = false;
  for (let at = 0; at < content.length; at += 1) {
    const octet = content[at]!;
    if (inText) {
      if (octet === BACKSLASH) at += 1;
      else if (octet === QUOTE) inText = false;
    } else if (octet === QUOTE) {
      inText = true;
    } else if (octet === COMMA || octet === COLON) {
      values += 1;
    } else if (octet === OPEN_LIST || octet === OPEN_OBJECT) {
      values += 1;
      depth += 1;
      if (depth > MAX_DEPTH) throw refuse(`is nested more than ${MAX_DEPTH} deep`);
    } else if (octet === CLOSE_LIST || octet === CLOSE_OBJECT) {
      depth -= 1;
    }
    if (values > MAX_VALUES) throw refuse(`holds more than ${MAX_VALUES} values`);
  }
  try {
    return JSON.parse(content.toString('utf8'));
  } catch (cause) {
    throw refuse('is not JSON', cause);
  }
}
