/** Makes every path of a configuration absolute, so that it means the same file wherever the process was started. */
import { homedir } from 'node:os';
import path from 'node:path';
import type { ClusterConfig, Config, HostConfig, VaultConfig } from '../domain/config';

/** `base`: the directory of the configuration file. `~/` stands for the home directory. */
export function absolutePaths(config: Config, base: string): Config {
  const file = (value: string): string => (value.startsWith('~/') ? path.join(homedir(), value.slice(2)) : path.resolve(base, value));
  const optionalFile = (value: string | undefined): string | undefined => (value === undefined ? undefined : file(value));
  const secret = (ref: string): string => (ref.startsWith('file:') ? `file:${file(ref.slice('file:'.length))}` : ref);
  const optionalSecret = (ref: string | undefined): string | undefined => (ref === undefined ? undefined : secret(ref));

  const login = <T extends { key?: string; keyPassphrase?: string; agent?: boolean | string }>(from: T): T => ({
    ...from,
    key: optionalSecret(from.key),
    keyPassphrase: optionalSecret(from.keyPassphrase),
    agent: typeof from.agent === 'string' ? file(from.agent) : from.agent,
  });

  const host = (from: HostConfig): HostConfig => ({ ...login(from), sudoPassword: optionalSecret(from.sudoPassword) });

  const vault = ({ directory, sftp, s3 }: VaultConfig): VaultConfig => ({
    ...(directory === undefined ? {} : { directory: file(directory) }),
    // The path on the server is the server's own business.
    ...(sftp === undefined ? {} : { sftp: { ...login(sftp), knownHosts: file(sftp.knownHosts), ...(sftp.jump === undefined ? {} : { jump: login(sftp.jump) }) } }),
    ...(s3 === undefined ? {} : { s3: {
      ...s3,
      caFile: optionalFile(s3.caFile),
      accessKeyId: optionalSecret(s3.accessKeyId),
      secretAccessKey: optionalSecret(s3.secretAccessKey),
      sessionToken: optionalSecret(s3.sessionToken),
    } }),
  });

  const cluster = (from: ClusterConfig): ClusterConfig => ({
    ...from,
    ucp: { ...from.ucp, caFile: optionalFile(from.ucp.caFile), password: secret(from.ucp.password), bundle: optionalFile(from.ucp.bundle) },
    dtr: { ...from.dtr, caFile: optionalFile(from.dtr.caFile) },
    ...(from.ssh === undefined ? {} : { ssh: { knownHosts: file(from.ssh.knownHosts) } }),
    hosts: mapValues(from.hosts, host),
    encryption: {
      ...from.encryption,
      passphrase: optionalSecret(from.encryption.passphrase),
      passphrases: from.encryption.passphrases.map(secret),
      recipients: from.encryption.recipients.map(file),
      privateKeys: from.encryption.privateKeys.map(secret),
      privateKeyPassphrase: optionalSecret(from.encryption.privateKeyPassphrase),
      formerPassphrases: from.encryption.formerPassphrases.map(secret),
      signingKey: optionalSecret(from.encryption.signingKey),
      signingKeyPassphrase: optionalSecret(from.encryption.signingKeyPassphrase),
      signedBy: from.encryption.signedBy.map(file),
    },
    policy: { ...from.policy, vulnerabilityDatabaseFile: optionalFile(from.policy.vulnerabilityDatabaseFile) },
  });

  return {
    ...config,
    stateDir: file(config.stateDir),
    vaults: mapValues(config.vaults, vault),
    clusters: mapValues(config.clusters, cluster),
  };
}

function mapValues<A, B>(from: Record<string, A>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(from).map(([key, value]) => [key, change(value)]));
}
