/** `/var/lib/drydock/changes/<cluster>/` of a host, root's own: where records lie when no vault takes them. */
import { randomBytes } from 'node:crypto';
import type { Host } from '../../adapters/host/host';
import { RECORD_MAX_BYTES, RECORD_NAME, type ChangePlace } from './place';

export const HOST_FOLDER = '/var/lib/drydock/changes';

/** Name and content of each record, both in base64, so that one line is one record. */
const LIST = 'cd "$1" 2>/dev/null || exit 0; for f in *.json; do [ -f "$f" ] || continue; printf "%s " "$f"; base64 -w0 < "$f"; echo; done';
/** A host that was switched off while it wrote keeps a part; nothing else sweeps it. */
const SWEEP = `find "$1" -maxdepth 1 -name '.part-*' -mmin +60 -exec rm -f -- {} +;`;
/**
 * Aside, on the disk, and only then under its name. A connection that is lost looks like the end of the input, so its bytes are counted. A `sync` that is
 * too old for names writes out everything, which does as well.
 */
const PUT = `umask 077; mkdir -p "$1" && cat > "$1/.$2" && [ "$(wc -c < "$1/.$2")" -eq "$4" ] && sync "$1/.$2" && mv -f "$1/.$2" "$1/$3" && sync "$1" && exit
code=$?; rm -f -- "$1/.$2"; exit $code`;
const TRY = `umask 077; mkdir -p "$1" || exit; ${SWEEP} : > "$1/.$2" && rm -f "$1/.$2"`;

/** `open` connects when the place is first used. */
export function hostPlace(node: string, open: () => Promise<Host>, cluster: string, base = HOST_FOLDER): ChangePlace {
  const folder = `${base}/${cluster}`;
  const aside = (): string => `part-${randomBytes(8).toString('hex')}`;
  const shell = async (script: string, args: string[], input?: string): Promise<string> => {
    const host = await open();
    return (await host.exec(['sh', '-c', script, 'sh', ...args], { maxOutput: 4 * RECORD_MAX_BYTES, ...(input === undefined ? {} : { input }) })).stdout;
  };
  return {
    name: `host ${node}`,
    kind: 'host',
    async list() {
      const lines = (await shell(LIST, [folder])).split('\n');
      return lines.flatMap((line) => {
        const [name = '', content = ''] = line.split(' ');
        return RECORD_NAME.test(name) ? [{ name, text: Buffer.from(content, 'base64').toString('utf8') }] : [];
      });
    },
    async put(name, text) {
      await shell(PUT, [folder, aside(), name, String(Buffer.byteLength(text))], text);
    },
    async remove(name) {
      await shell('rm -f -- "$1"', [`${folder}/${name}`]);
    },
    async tryOut() {
      await shell(TRY, [folder, aside()]);
    },
  };
}
