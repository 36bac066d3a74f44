/** What users would take instead, each as one line of shell. Passphrases are the bench's own and protect nothing. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measureShell, type Measured } from './measure';

export interface Place {
  /** Scratch folder of this bench. */
  base: string;
  volume: string;
  passphraseFile: string;
  sshd: { pid: number; port: number; keyFile: string; knownHosts: string };
}

export interface Peer {
  name: PeerName;
  /** A fresh place for backups; not measured. */
  prepare(place: Place): Promise<void>;
  backup(place: Place): Promise<Measured>;
  /** Where it can be compared. */
  restore?(place: Place): Promise<Measured>;
  /** Where a second backup can differ from a first. */
  isIncremental: boolean;
}
export type PeerName = 'page' | 'pageUncompressed' | 'sshTar' | 'restic' | 'borg' | 'resticLocal' | 'borgLocal' | 'minimal';

const OPTIONS = '-F none -o BatchMode=yes -o StrictHostKeyChecking=yes';

function sshTo({ sshd }: Place): string {
  return `ssh ${OPTIONS} -p ${sshd.port} -i ${sshd.keyFile} -o UserKnownHostsFile=${sshd.knownHosts}`;
}

/** The vendor's page: `tar | gpg --symmetric`, with a passphrase file where the page lets gpg ask. */
function page(name: PeerName, options: string): Peer {
  const file = (place: Place): string => join(place.base, `${name}.tar.gpg`);
  const gpg = (place: Place): string => `gpg --homedir ${place.base}/gnupg --batch --quiet --pinentry-mode loopback --no-symkey-cache --passphrase-file ${place.passphraseFile}`;
  return {
    name,
    isIncremental: false,
    prepare: async (place) => {
      await mkdir(`${place.base}/gnupg`, { recursive: true, mode: 0o700 });
      await rm(file(place), { force: true });
    },
    backup: (place) => measureShell(`tar -C ${place.volume} -cf - . | ${gpg(place)} ${options} -o - --symmetric > ${file(place)}`, place.sshd.pid),
    restore: async (place) => {
      const target = await freshTarget(place);
      return measureShell(`${gpg(place)} -d ${file(place)} | tar -C ${target} -xf -`, place.sshd.pid);
    },
  };
}

const sshTar: Peer = {
  name: 'sshTar',
  isIncremental: false,
  prepare: ({ base }) => rm(join(base, 'ssh.tar'), { force: true }),
  backup: (place) => measureShell(`${sshTo(place)} root@127.0.0.1 tar -C ${place.volume} -cf - . > ${place.base}/ssh.tar`, place.sshd.pid),
};

/** On the registry's host, as people run it there; the repository is on the far side of SSH, or on the same disk. */
function restic(name: PeerName, isFar: boolean): Peer {
  const repository = (place: Place): string => join(place.base, name);
  const run = (place: Place, line: string, suffix = ''): Promise<Measured> => {
    const sftp = isFar ? ` -o sftp.command='${sshTo(place)} root@127.0.0.1 -s sftp'` : '';
    const env = { RESTIC_REPOSITORY: `${isFar ? 'sftp:root@127.0.0.1:' : ''}${repository(place)}`, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(place.base, `${name}-cache`) };
    return measureShell(`restic${sftp} --quiet ${line}${suffix}`, place.sshd.pid, env);
  };
  return {
    name,
    isIncremental: true,
    prepare: async (place) => {
      await rm(repository(place), { recursive: true, force: true });
      await rm(join(place.base, `${name}-cache`), { recursive: true, force: true });
      await run(place, 'init');
    },
    backup: (place) => run(place, `backup ${place.volume}`),
    restore: async (place) => run(place, `restore latest --target ${await freshTarget(place)}`),
  };
}

/** As restic: on the registry's host; `borg serve` is what `borg` starts on the far side. */
function borg(name: PeerName, isFar: boolean): Peer {
  const repository = (place: Place): string => join(place.base, name);
  const run = (place: Place, line: string): Promise<Measured> => measureShell(line, place.sshd.pid, {
    BORG_REPO: isFar ? `ssh://root@127.0.0.1:${place.sshd.port}${repository(place)}` : repository(place),
    BORG_RSH: sshTo(place), BORG_PASSPHRASE: 'bench', BORG_BASE_DIR: join(place.base, `${name}-home`),
  });
  return {
    name,
    isIncremental: true,
    prepare: async (place) => {
      await rm(repository(place), { recursive: true, force: true });
      await rm(join(place.base, `${name}-home`), { recursive: true, force: true });
      await run(place, 'borg init --encryption repokey-blake2');
    },
    backup: (place) => run(place, `name=$(date +%s%N); echo $name > ${repository(place)}-last; borg create ::$name ${place.volume}`),
    restore: async (place) => run(place, `cd ${await freshTarget(place)} && borg extract ::$(cat ${repository(place)}-last)`),
  };
}

/** Not a tool: what the bytes of a first backup cost at least. */
const minimal: Peer = {
  name: 'minimal',
  isIncremental: false,
  prepare: () => Promise.resolve(),
  backup: ({ volume, sshd }) => measureShell(`${process.execPath} ${require.resolve('./minimal-path')} ${volume} ${sshd.port} ${sshd.keyFile}`, sshd.pid),
};

export const PEERS: Peer[] = [page('page', ''), page('pageUncompressed', '-z0'), sshTar, restic('restic', true), borg('borg', true), restic('resticLocal', false), borg('borgLocal', false), minimal];

export async function freshTarget({ base }: Place): Promise<string> {
  const target = join(base, 'target');
  await rm(target, { recursive: true, force: true });
  await mkdir(target);
  return target;
}
