/** Makes what differs from run to run the same, each at the length that it had: tables and wrapped lines stay as they were. */

/** Also behind a `%2F`, as a link has it. */
const OPERATION = /(?<![0-9])[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}(?:[0-9a-f]{6})?(?![0-9a-f])/g;

/** `names`: texts of this run and what stands for each, of the same length. */
export function settler(names: ReadonlyMap<string, string>): (raw: string) => string {
  for (const [from, to] of names) if (from.length !== to.length) throw new Error(`"${to}" is not as long as "${from}"`);
  return (raw) => {
    let text = raw;
    for (const [from, to] of names) text = text.replaceAll(from, to);
    const kept = new Set(names.values());
    return text
      .replace(OPERATION, (id) => (kept.has(id) ? id : `20261130T120000Z-${'a'.repeat(id.length - 17)}`))
      // A line may have been folded in between.
      .replace(/\b20[0-9]{2}-[0-9]{2}-[0-9]{2}(T|\s+)[0-9]{2}:[0-9]{2}(:[0-9]{2})?(\.[0-9]{3})?/g, (_all, between: string, seconds = '', milliseconds = '') => `2026-11-30${between}12:00${seconds === '' ? '' : ':00'}${milliseconds === '' ? '' : '.000'}`)
      // Of what is compressed and encrypted.
      .replace(/\b[0-9.]+ KiB/g, (size) => size.replace(/[0-9]/g, '9'))
      .replace(/(?<![0-9:])[0-9]{2}:[0-9]{2}:[0-9]{2} (?= |info|warn|error)/g, '12:00:00 ')
      .replace(/(\bprocess |\bkill |[pP]id": )[0-9]+\b/g, (_all, before: string) => `${before}12345`)
      .replace(/127\.0\.0\.1:([0-9]+)/g, (_all, port: string) => `127.0.0.1:${'7'.repeat(port.length)}`)
      .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '01234567-89ab-cdef-0123-456789abcdef')
      .replace(/passphrase:[0-9a-f]{16}/g, 'passphrase:0123456789abcdef')
      .replace(/\bin [0-9.]+ (m?s)\b/g, 'in 1 $1')
      .replace(/[0-9.]+ [GT]iB are free/g, '100 GiB are free');
  };
}
