/** Debian packages, and what each is for. Only what is missing is installed, only for the command that needs it. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { SetupError, say, step } from '../lib/console.mjs';
import { exec, which } from '../lib/exec.mjs';

/** Program to look for -> package that brings it, and what Drydock's commands use it for. */
export const TOOLS = {
  docker: { package: 'docker.io', why: 'the Docker client' },
  dockerd: { package: 'docker.io', why: 'the Docker Engine that carries the lab' },
  iptables: { package: 'iptables', why: 'container networks' },
  skopeo: { package: 'skopeo', why: 'pushing and pulling images as a customer would' },
  ssh: { package: 'openssh-client', why: 'SSH from outside the lab' },
  'ssh-keygen': { package: 'openssh-client', why: 'keys of the lab hosts' },
  openssl: { package: 'openssl', why: 'certificates of the lab' },
  gpg: { package: 'gnupg', why: 'opening backups without Drydock' },
  ps: { package: 'procps', why: 'looking for secrets in the process list' },
  script: { package: 'bsdutils', why: 'typing at a terminal' },
  tar: { package: 'tar', why: 'opening backups without Drydock' },
  sshd: { package: 'openssh-server', why: 'tests against a real SSH server' },
  sshfs: { package: 'sshfs', why: 'tests on a mount without hard links' },
  sudo: { package: 'sudo', why: 'tests as an ordinary user with sudo' },
  fish: { package: 'fish', why: 'tests of login shells' },
  tcsh: { package: 'tcsh', why: 'tests of login shells' },
  'bsd-csh': { package: 'csh', why: 'tests of login shells' },
  zsh: { package: 'zsh', why: 'tests of login shells' },
  bindfs: { package: 'bindfs', why: 'tests of file systems that refuse things' },
  sshfs: { package: 'sshfs', why: 'tests of file systems that refuse things' },
  busybox: { package: 'busybox', why: 'tests of hosts with other tools' },
  gpg1: { package: 'gnupg1', why: 'opening backups with an old gpg' },
  'docker-registry': { package: 'docker-registry', why: 'tests against a real registry' },
  chromium: { package: 'chromium', why: 'tests of the Temporal UI' },
  restic: { package: 'restic', why: 'measuring beside it' },
  borg: { package: 'borgbackup', why: 'measuring beside it' },
  debootstrap: { package: 'debootstrap', why: 'making debian:bookworm-slim without a registry' },
};

/** Packages whose service must not start just because a test needs the program. */
const QUIET_SERVICES = { 'openssh-server': 'ssh', 'docker-registry': 'docker-registry' };
const POLICY = '/usr/sbin/policy-rc.d';

let queue = Promise.resolve();

/**
 * Makes sure that the named programs (keys of TOOLS) exist. Calls wait for each other, as apt does.
 * @throws SetupError that names every missing package where apt cannot be used
 */
export function ensureTools(names) {
  const turn = queue.then(() => installMissing(names));
  queue = turn.catch(() => undefined);
  return turn;
}

async function installMissing(names) {
  const missing = names.filter((name) => which(name) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => TOOLS[name].package))];
  refuseWithoutApt(missing, packages);
  await step('system packages', `installing ${packages.join(', ')} (${[...new Set(missing.map((name) => TOOLS[name].why))].join('; ')})`, (live) => aptInstall(packages, live));
  const still = missing.filter((name) => which(name) === undefined);
  if (still.length > 0) throw new SetupError(`apt installed ${packages.join(', ')}, but ${still.join(', ')} cannot be found.`, 'Put the program on PATH and run the same command again.');
}

/** Debian or Ubuntu as root is where set-up installs by itself; elsewhere it says what a person has to get. */
function refuseWithoutApt(missing, packages) {
  const list = missing.map((name) => `${name} (${TOOLS[name].why})`).join(', ');
  if (which('apt-get') === undefined) {
    throw new SetupError(`Missing: ${list}. This machine has no apt-get, so set-up cannot install them.`, 'Install them with the package manager of this system, then run the same command again.');
  }
  if (process.getuid?.() !== 0) {
    throw new SetupError(`Missing: ${list}. Installing needs root.`, `Run: sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`);
  }
}

async function aptInstall(packages, live) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) => exec('apt-get', ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2', ...args], { env, onLine: live });
  const update = await apt('update');
  if (update.code !== 0) say('system packages', 'apt-get update did not end well; trying with the lists that are there');
  const restore = holdServices(packages);
  try {
    const install = await apt('install', '-y', '--no-install-recommends', ...packages);
    if (install.code !== 0) {
      throw new SetupError(`apt-get install ${packages.join(' ')} failed:\n${install.output.trim().split('\n').slice(-8).join('\n')}`, 'Check /etc/apt/sources.list and the network, then run the same command again.');
    }
  } finally {
    restore();
  }
  await disableServices(packages);
}

/** Debian's own way to install a service without starting it; undone at once. */
function holdServices(packages) {
  const quiet = packages.some((name) => name in QUIET_SERVICES);
  if (!quiet || existsSync(POLICY)) return () => undefined;
  const content = '#!/bin/sh\n# Put here by Drydock set-up for one apt-get run.\nexit 101\n';
  writeFileSync(POLICY, content, { mode: 0o755 });
  return () => {
    if (existsSync(POLICY) && readFileSync(POLICY, 'utf8') === content) rmSync(POLICY);
  };
}

async function disableServices(packages) {
  if (!existsSync('/run/systemd/system')) return;
  for (const name of packages) {
    const unit = QUIET_SERVICES[name];
    if (unit !== undefined) await exec('systemctl', ['disable', '--now', unit]);
  }
}
