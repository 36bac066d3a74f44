/** What users would take instead, each as one line of shell. Passphrases are the bench's own and protect nothing. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measureShell, type Measured } from './measure';

export interface Place {
  /** Scratch folder of this bench. */
  base: string;
  volume: string;
  passphraseFile: string;
  /** Words of an OpenSSH command up to the host. */
  ssh: string;
}

export interface Peer {
  name: PeerName;
  /** A fresh place for backups; not measured. */
  prepare(place: Place): Promise<void>;
  backup(place: Place): Promise<Measured>;
  /** Where it can be compared. */
  restore?(place: Place): Promise<Measured>;
}
export type PeerName = 'page' | 'pageUncompressed' | 'sshTar' | 'restic' | 'borg';

/** The vendor's page: `tar | gpg --symmetric`, with a passphrase file where the page lets gpg ask. */
function page(name: PeerName, options: string): Peer {
  const file = (place: Place): string => join(place.base, `${name}.tar.gpg`);
  const gpg = (place: Place): string => `gpg --homedir ${place.base}/gnupg --batch --quiet --pinentry-mode loopback --no-symkey-cache --passphrase-file ${place.passphraseFile}`;
  return {
    name,
    prepare: async (place) => {
      await mkdir(`${place.base}/gnupg`, { recursive: true, mode: 0o700 });
      await rm(file(place), { force: true });
    },
    backup: (place) => measureShell(`tar -C ${place.volume} -cf - . | ${gpg(place)} ${options} -o - --symmetric > ${file(place)}`),
    restore: async (place) => {
      const target = await freshTarget(place);
      return measureShell(`${gpg(place)} -d ${file(place)} | tar -C ${target} -xf -`);
    },
  };
}

const sshTar: Peer = {
  name: 'sshTar',
  prepare: ({ base }) => rm(join(base, 'ssh.tar'), { force: true }),
  backup: ({ base, volume, ssh }) => measureShell(`${ssh} tar -C ${volume} -cf - . > ${base}/ssh.tar`),
};

const restic: Peer = {
  name: 'restic',
  prepare: async ({ base }) => {
    await rm(join(base, 'restic'), { recursive: true, force: true });
    await measureShell('restic init --quiet', resticEnv(base));
  },
  backup: ({ base, volume }) => measureShell(`restic backup --quiet ${volume}`, resticEnv(base)),
};

const borg: Peer = {
  name: 'borg',
  prepare: async ({ base }) => {
    await rm(join(base, 'borg'), { recursive: true, force: true });
    await rm(join(base, 'borg-home'), { recursive: true, force: true });
    await measureShell('borg init --encryption repokey-blake2', borgEnv(base));
  },
  backup: ({ base, volume }) => measureShell(`borg create ::$(date +%s%N) ${volume}`, borgEnv(base)),
};

export const PEERS: Peer[] = [page('page', ''), page('pageUncompressed', '-z0'), sshTar, restic, borg];

export async function freshTarget({ base }: Place): Promise<string> {
  const target = join(base, 'target');
  await rm(target, { recursive: true, force: true });
  await mkdir(target);
  return target;
}

function resticEnv(base: string): Record<string, string> {
  return { RESTIC_REPOSITORY: join(base, 'restic'), RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: join(base, 'restic-cache') };
}

function borgEnv(base: string): Record<string, string> {
  return { BORG_REPO: join(base, 'borg'), BORG_PASSPHRASE: 'bench', BORG_BASE_DIR: join(base, 'borg-home') };
}
