/** `SHA256SUMS`, as `sha256sum -c` reads it. */

/** Digests by name. Lines of another form are passed by. */
export function parseChecksums(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^([0-9a-f]{64}) [ *](.+)$/.exec(line);
    if (match) found.set(match[2]!, match[1]!);
  }
  return found;
}
