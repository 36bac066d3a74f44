/** Connections to one cluster, opened when first used and closed together. One per activity run: nothing is shared between attempts. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { connectEngine } from '../adapters/docker/dockerode';
import type { Engine } from '../adapters/docker/engine';
import { connectDtr } from '../adapters/dtr/client';
import type { Dtr } from '../adapters/dtr/dtr';
import type { Host } from '../adapters/host/host';
import { connectHost } from '../adapters/host/ssh';
import { loadDecryptionKeys, loadEncryptionKeys } from '../adapters/openpgp/keyring';
import type { DecryptionKeys, EncryptionKeys } from '../adapters/openpgp/keys';
import { loadSigningKey, loadTrustedSigners, type PrivateKey, type PublicKey } from '../adapters/openpgp/sign';
import { connectRegistry } from '../adapters/registry/client';
import type { Registry } from '../adapters/registry/registry';
import { resolveSecret } from '../adapters/secrets/secrets';
import { bundleFor, engineAddress } from '../adapters/ucp/bundle';
import { connectUcp } from '../adapters/ucp/client';
import type { Ucp } from '../adapters/ucp/ucp';
import { ContentCache } from '../adapters/vault/content-cache';
import { refuseOther } from '../adapters/vault/known-vaults';
import { openVault } from '../adapters/vault/open';
import type { Vault } from '../adapters/vault/vault';
import type { ClusterConfig, Config } from '../domain/config';
import { DrydockError } from '../domain/errors';
import { openImages } from './helper-container';

export interface ActivityDeps {
  config: Config;
  configPath: string;
  namespace: string;
  client: Client;
}

/** A host other than configured: a rebuilt one that takes a lost one's place. */
export interface HostOverride {
  host?: string;
  port?: number;
  hostKey?: string;
}

/** The registry volume, as the check found it. */
export interface ImagesVolume {
  /** Name of a volume, or a path of the node. */
  name: string;
  mountpoint: string;
  /** Swarm host name; empty on a plain engine. */
  host: string;
}

/** For `images: docker`. */
export interface ImagesHelper {
  operation: string;
  /** With tag; `policy.helperImage` counts before it. */
  bootstrapperImage: string;
}

export interface ImagesPlace {
  host: Host;
  /** Directory of the volume's content, as commands on `host` see it. */
  root: string;
}

export interface Cluster {
  readonly name: string;
  readonly config: ClusterConfig;
  readonly vault: Vault;
  /** Its name in drydock.yaml: that of the cluster's own vault unless the step says another. */
  readonly vaultName: string;
  /** Aborts when the activity is cancelled. */
  readonly signal: AbortSignal | undefined;
  ucp(): Promise<Ucp>;
  engine(): Promise<Engine>;
  /** DTR under its external URL, or under another one (a replica's own). */
  dtr(url?: string): Promise<Dtr>;
  registry(): Promise<Registry>;
  /** By Swarm host name. Throws InvalidInput when drydock.yaml does not know it. */
  host(node: string, override?: HostOverride): Promise<Host>;
  /** Where a backup reads the registry volume, as `images` in drydock.yaml says. */
  images(volume: ImagesVolume, helper: ImagesHelper): Promise<ImagesPlace>;
  encryptionKeys(): Promise<EncryptionKeys>;
  decryptionKeys(): Promise<DecryptionKeys>;
  /** Signs manifests; null when none is configured. */
  signingKey(): Promise<PrivateKey | null>;
  /** Keys whose signatures count; empty when signatures are not asked for. */
  trustedSigners(): Promise<PublicKey[]>;
  /** UCP's login for the environment of the bootstrapper: UCP_USERNAME, UCP_PASSWORD, UCP_CA. Secret: for `Engine.run({env})` only. */
  bootstrapperEnv(): Promise<Record<string, string>>;
  /** Copies of what never changes in vaults. */
  readonly cache: ContentCache;
  /** Directory for this operation's working files, 0700. */
  workDir(operation: string): Promise<string>;
  /** The other vaults in which backups of the cluster are kept. */
  otherVaults(): { name: string; vault: Vault }[];
  /** Before something is written or removed in the vault: throws Refused when it is another one than this worker last used under its name. */
  refuseOtherVault(): Promise<void>;
  close(): Promise<void>;
}

/** `vault`: another one than the cluster's own, such as a copy. Throws InvalidInput when drydock.yaml has no such cluster or vault. */
export function openCluster(deps: ActivityDeps, name: string, signal?: AbortSignal, vault?: string): Cluster {
  const { clusters } = deps.config;
  const config = Object.hasOwn(clusters, name) ? clusters[name] : undefined;
  if (!config) {
    const known = Object.keys(clusters).join(', ') || '(there are none)';
    throw new DrydockError('InvalidInput', `there is no cluster "${name}" in ${deps.configPath}, expected one of ${known}`, { remedy: 'start again with the name of a cluster that the worker\'s drydock.yaml has' });
  }
  const { vaults } = deps.config;
  const vaultName = vault ?? config.vault;
  const settings = Object.hasOwn(vaults, vaultName) ? vaults[vaultName] : undefined;
  if (!settings) {
    throw new DrydockError('InvalidInput', `${vault === undefined ? `clusters.${name}.vault` : 'vault'}: there is no vault "${vaultName}" in ${deps.configPath}, expected one of ${Object.keys(vaults).join(', ')}`, { remedy: 'start again with the name of a vault that the worker\'s drydock.yaml has' });
  }
  return new OpenCluster(deps, name, config, vaultName, openVault(settings), signal);
}

/** Opens the cluster for one step and closes it whatever happens. */
export async function withCluster<T>(deps: ActivityDeps, name: string, signal: AbortSignal | undefined, work: (cluster: Cluster) => Promise<T>, vault?: string): Promise<T> {
  const cluster = openCluster(deps, name, signal, vault);
  try {
    return await work(cluster);
  } finally {
    await cluster.close();
  }
}

class OpenCluster implements Cluster {
  private readonly opened = new Map<string, Promise<unknown>>();
  private readonly others = new Map<string, Vault>();
  readonly cache: ContentCache;
  private readonly closers: (() => Promise<void> | void)[] = [];

  constructor(
    private readonly deps: ActivityDeps,
    readonly name: string,
    readonly config: ClusterConfig,
    readonly vaultName: string,
    readonly vault: Vault,
    readonly signal: AbortSignal | undefined,
  ) {
    this.cache = new ContentCache(path.join(deps.config.stateDir, 'cache'));
  }

  ucp(): Promise<Ucp> {
    return this.once('ucp', () => connectUcp(this.config.ucp, { signal: this.signal }), (ucp) => ucp.close());
  }

  engine(): Promise<Engine> {
    return this.once('engine', async () => {
      const bundle = await bundleFor(this.name, this.config.ucp, this.deps.config.stateDir, await this.ucp());
      return connectEngine({ ...engineAddress(bundle), insecure: this.config.ucp.insecureSkipTlsVerify });
    }, (engine) => engine.close());
  }

  dtr(url = this.config.dtr.url): Promise<Dtr> {
    return this.once(`dtr ${url}`, async () => connectDtr({ ...(await this.login()), url }), (dtr) => dtr.close());
  }

  registry(): Promise<Registry> {
    return this.once('registry', async () => connectRegistry(await this.login()), (registry) => registry.close());
  }

  host(node: string, override: HostOverride = {}): Promise<Host> {
    return this.once(`host ${node} ${JSON.stringify(override)}`, () => this.connect(node, override), (host) => host.close());
  }

  images(volume: ImagesVolume, helper: ImagesHelper): Promise<ImagesPlace> {
    if (this.config.images !== 'docker') return this.host(volume.host).then((host) => ({ host, root: volume.mountpoint }));
    return this.once(`images ${volume.host}/${volume.name}`, () => openImages(this, volume, helper), ({ host }) => host.close());
  }

  encryptionKeys(): Promise<EncryptionKeys> {
    return this.once('encryption', () => loadEncryptionKeys(this.config.encryption));
  }

  decryptionKeys(): Promise<DecryptionKeys> {
    return this.once('decryption', () => loadDecryptionKeys(this.config.encryption));
  }

  signingKey(): Promise<PrivateKey | null> {
    return this.once('signing', () => loadSigningKey(this.config.encryption));
  }

  trustedSigners(): Promise<PublicKey[]> {
    return this.once('signers', () => loadTrustedSigners(this.config.encryption));
  }

  async bootstrapperEnv(): Promise<Record<string, string>> {
    const ucp = await this.ucp();
    return { UCP_USERNAME: this.config.ucp.username, UCP_PASSWORD: await resolveSecret(this.config.ucp.password), UCP_CA: await ucp.ca() };
  }

  async workDir(operation: string): Promise<string> {
    const directory = path.join(this.deps.config.stateDir, 'work', operation);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  otherVaults(): { name: string; vault: Vault }[] {
    const { vaults } = this.deps.config;
    return [this.config.vault, ...this.config.copies].filter((name) => name !== this.vaultName && Object.hasOwn(vaults, name)).map((name) => {
      const known = this.others.get(name) ?? openVault(vaults[name]!);
      this.others.set(name, known);
      return { name, vault: known };
    });
  }

  refuseOtherVault(): Promise<void> {
    return refuseOther({ vault: this.vault, name: this.vaultName, stateDir: this.deps.config.stateDir });
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.opened.values(), this.vault.close(), ...[...this.others.values()].map((vault) => vault.close())]);
    // What was opened last stands on what was opened before it: a helper container is removed through the engine.
    for (const close of this.closers.reverse()) await Promise.resolve(close()).catch(() => undefined);
  }

  private async login() {
    const { url, caFile, insecureSkipTlsVerify: insecure } = this.config.dtr;
    return { url, caFile, insecure, username: this.config.ucp.username, password: await resolveSecret(this.config.ucp.password) };
  }

  private async connect(node: string, override: HostOverride): Promise<Host> {
    const { hosts, ssh } = this.config;
    const configured = hosts[node];
    if (ssh === undefined) {
      throw new DrydockError('InvalidInput', `clusters.${this.name} has no SSH host for ${node} in ${this.deps.configPath}: images: docker serves backups, a restore works on the hosts themselves`, {
        remedy: `add ssh.knownHosts, and hosts.${node} with address, user and key`,
      });
    }
    if (!configured && override.host === undefined) {
      throw new DrydockError('InvalidInput', `clusters.${this.name}.hosts has no "${node}" in ${this.deps.configPath}`, { remedy: `add hosts.${node} with address, user and key, or give a target with its host` });
    }
    // A replacement that drydock.yaml does not know is reached like its neighbours.
    const base = configured ?? Object.values(hosts)[0];
    if (!base) throw new DrydockError('InvalidInput', `clusters.${this.name}.hosts is empty`, { remedy: 'add the hosts of the replicas' });
    const host = { ...base, address: override.host ?? base.address, port: override.port ?? base.port };
    return connectHost(node, host, { knownHosts: ssh.knownHosts, hosts, hostKeyOverride: override.hostKey, signal: this.signal });
  }

  private once<T>(key: string, open: () => Promise<T>, close?: (value: T) => Promise<void> | void): Promise<T> {
    const before = this.opened.get(key) as Promise<T> | undefined;
    if (before) return before;
    const opening = open().then((value) => {
      if (close) this.closers.push(() => close(value));
      return value;
    });
    this.opened.set(key, opening);
    return opening;
  }
}
