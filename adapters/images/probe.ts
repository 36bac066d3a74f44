/** Whether a folder takes what a restore does to it, tried with one small file and the same commands, and gone again afterwards. */
import { createHash, randomBytes } from 'node:crypto';
import { DrydockError, type ErrorKind } from '../../domain/errors';
import type { Host } from '../host/host';
import { STAGING_PREFIX } from './volume';

export interface ProbeOptions {
  /** A folder that exists, on the file system that is to be written. */
  folder: string;
  /** Stands in the name of what is written, so that it can be told whose it was. */
  operation: string;
  owner: { uid: number; gid: number };
  signal?: AbortSignal;
}

const PREFIX = `${STAGING_PREFIX}probe-`;
const PROBE_STALL_MS = 60_000;

/**
 * Prints `ok`, or the step that failed and what was said. What an earlier probe left that was cut off goes first; this one is gone before a word is printed,
 * whatever happens, unless the shell itself is killed.
 */
const SCRIPT = [
  'cd -- "$1" || { echo "open: the folder cannot be entered"; exit 0; }',
  'prefix=$2; name=$2$3; owner=$4; text=$5; step=; said=',
  'clean() { rm -rf -- "./$name" "./$name.link"; }',
  // A second signal must not end the removal.
  `trap clean EXIT; trap 'trap "" HUP INT TERM PIPE; exit 1' HUP INT TERM PIPE`,
  'fail() { clean 2>/dev/null; printf "%s: %s\\n" "$step" "$said"; exit 0; }',
  'try() { said=$("$@" 2>&1) || fail; }',
  'same() { [ "$1" = "$2" ] || { echo "$3"; return 1; }; }',
  'fill() { mkdir -p "./$name/docker/registry" && printf %s "$text" >"./$name/docker/registry/data" && chmod 0644 "./$name/docker/registry/data"; }',
  'own() { chown -R "$owner" "./$name/docker" && shows=$(stat -c %u:%g "./$name/docker/registry/data") && same "$shows" "$owner" "it shows $shows instead"; }',
  'read_back() { same "$(cat "./$name.link/registry/data")" "$text" "other bytes came back"; }',
  'gone() { clean && for left in "./$name" "./$name.link"; do [ ! -e "$left" ] || { echo "$left is still there"; return 1; }; done; }',
  'step=remove; try rm -rf -- "./$prefix"*',
  'step=write; try mkdir -m 0700 -- "./$name"; try fill',
  'step=own; try own',
  'step=link; try cp -r -l -f --preserve=mode,ownership "./$name/docker" "./$name.link"',
  'step=read; try read_back',
  'step=remove; try gone',
  'trap - EXIT; echo ok',
].join('\n');

/** Throws Refused, NotPermitted or NoSpace naming the host, the folder and what it does not take, with the way out. */
export async function probeFolder(host: Host, { folder, operation, owner, signal }: ProbeOptions): Promise<void> {
  const text = randomBytes(16).toString('hex');
  const { stdout } = await host.exec(['sh', '-c', SCRIPT, 'sh', folder, PREFIX, nameOf(operation), `${owner.uid}:${owner.gid}`, text], { signal, stallMs: PROBE_STALL_MS });
  const answer = stdout.trim();
  if (answer === 'ok') return;
  const [, step = '', said = answer] = /^(\w+): ([^]*)$/.exec(answer) ?? [];
  throw faultOf(step, said.trim().split('\n').at(-1)!.replaceAll(`./${PREFIX}${nameOf(operation)}`, 'the file').slice(0, 300), { where: `${folder} on ${host.name}`, owner: `${owner.uid}:${owner.gid}`, host: host.name });
}

function nameOf(operation: string): string {
  return `${operation.replace(/[^A-Za-z0-9._-]+/g, '_').slice(0, 40)}-${createHash('sha256').update(operation).digest('hex').slice(0, 8)}`;
}

interface Place {
  where: string;
  owner: string;
  host: string;
}

function faultOf(step: string, said: string, { where, owner, host }: Place): DrydockError {
  const fault = (kind: ErrorKind, what: string, remedy: string): DrydockError => new DrydockError(kind, `${where} ${what}: ${said}`, { remedy });
  if (/Read-only file system/.test(said)) return fault('Refused', 'cannot be written', 'mount it for writing (rw), and look whether the server exports it so');
  if (/No space left|quota/i.test(said)) return fault('NoSpace', 'takes no further file', 'make room there, or free inodes (df -i); a quota may be in the way, too');
  switch (step) {
    case 'own':
      return fault('NotPermitted', `does not give files their owner (${owner})`, `let root of ${host} change owners there: an NFS export with no_root_squash; CIFS and FUSE keep no owners, so use another file system`);
    case 'link':
      return fault('Refused', 'takes no hard links, by which a restore puts images in place', 'use a file system that has them (ext4, XFS, NFS; not CIFS, and FUSE only where it passes links on), and GNU cp');
    case 'read':
      return fault('Refused', 'gives back other than was written', 'look at that disk or share before anything is restored to it');
    case 'remove':
      return fault('NotPermitted', 'does not let files go', `let root of ${host} remove there: no immutable or append-only folder (lsattr), an NFS export with no_root_squash`);
    default:
      return fault('NotPermitted', 'cannot be written', `let root of ${host} write there: an NFS export with no_root_squash, a mount without ro`);
  }
}
