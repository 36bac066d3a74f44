/** Connections to one cluster, opened when first used and closed together. One per activity run: nothing is shared between attempts. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { asyncLocalStorage, log } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Engine } from '../adapters/docker/engine';
import type { Dtr } from '../adapters/dtr/dtr';
import type { ReplicaAddress } from '../adapters/dtr/replica-ping';
import type { Host } from '../adapters/host/host';
import { loadDecryptionKeys, loadEncryptionKeys } from '../adapters/openpgp/keyring';
import type { DecryptionKeys, EncryptionKeys } from '../adapters/openpgp/keys';
import { loadSigningKey, loadTrustedSigners, type PrivateKey, type PublicKey } from '../adapters/openpgp/sign';
import type { Registry } from '../adapters/registry/registry';
import { resolveSecret } from '../adapters/secrets/secrets';
import { replacedNote } from '../adapters/ucp/bundle';
import type { Ucp } from '../adapters/ucp/ucp';
import { ContentCache } from '../adapters/vault/content-cache';
import { refuseOther } from '../adapters/vault/known-vaults';
import type { Vault } from '../adapters/vault/vault';
import type { ClusterConfig, Config, VaultConfig } from '../domain/config';
import { DrydockError } from '../domain/errors';
import { realConnections, type Connect } from './connect';
import { Guard } from './guard';
import { openImages } from './helper-container';

export interface ActivityDeps {
  config: Config;
  configPath: string;
  namespace: string;
  client: Client;
  /** Throws unless the run of this step holds the lock of the cluster. Absent: Temporal is asked. */
  refuseWithoutLock?: (cluster: string) => Promise<void>;
  /** Default: the real ones. */
  connect?: Connect;
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

/** All connections stand behind the step's guard: none begins a call when the step was cancelled. What has to be cleaned up all the same: `forCleanUp`. */
export interface Cluster {
  readonly name: string;
  readonly config: ClusterConfig;
  readonly vault: Vault;
  /** Its name in drydock.yaml: that of the cluster's own vault unless the step says another. */
  readonly vaultName: string;
  /** Of this worker: its own files. */
  readonly stateDir: string;
  /** Aborts when the activity is cancelled. */
  readonly signal: AbortSignal | undefined;
  ucp(): Promise<Ucp>;
  /** At the first manager that answers; a kept client bundle that UCP does not take is fetched anew. */
  engine(): Promise<Engine>;
  /** What a person should know of the way to the engine: that the kept client bundle was replaced a short while ago. */
  engineNotes(): Promise<string[]>;
  /** DTR under its external URL, or under another one (a replica's own). */
  dtr(url?: string): Promise<Dtr>;
  registry(): Promise<Registry>;
  /** `/_ping` of one replica at its own address. */
  pingReplica(address: ReplicaAddress): Promise<{ healthy: boolean; error: string }>;
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
export function openCluster(deps: ActivityDeps, name: string, signal?: AbortSignal, vault?: string): OpenCluster {
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
  return new OpenCluster(deps, name, config, vaultName, settings, new Guard(signal));
}

/** Opens the cluster for one step and closes it whatever happens. Half a minute after a cancel it ends at the latest, a minute later where the vendor's command has to be ended. */
export async function withCluster<T>(deps: ActivityDeps, name: string, signal: AbortSignal | undefined, work: (cluster: Cluster) => Promise<T>, vault?: string): Promise<T> {
  const cluster = openCluster(deps, name, signal, vault);
  return cluster.guard.finish(work(cluster), () => cluster.close());
}

class OpenCluster implements Cluster {
  private readonly opened = new Map<string, Promise<unknown>>();
  private readonly others = new Map<string, Vault>();
  readonly cache: ContentCache;
  private readonly closers: (() => Promise<void> | void)[] = [];
  private readonly connect: Connect;
  readonly vault: Vault;
  readonly signal: AbortSignal | undefined;

  constructor(
    private readonly deps: ActivityDeps,
    readonly name: string,
    readonly config: ClusterConfig,
    readonly vaultName: string,
    settings: VaultConfig,
    readonly guard: Guard,
  ) {
    this.connect = deps.connect ?? realConnections;
    this.vault = guard.vault(this.connect.vault(settings));
    this.signal = guard.signal;
    this.cache = new ContentCache(path.join(deps.config.stateDir, 'cache'));
  }

  get stateDir(): string {
    return this.deps.config.stateDir;
  }

  ucp(): Promise<Ucp> {
    return this.once('ucp', async () => this.guard.ucp(await this.connect.ucp(this.config.ucp, { signal: this.signal })), (ucp) => ucp.close());
  }

  engine(): Promise<Engine> {
    return this.once('engine', async () => {
      const { engine, note } = await this.connect.engine({ clusterName: this.name, config: this.config.ucp, stateDir: this.deps.config.stateDir, ucp: await this.ucp(), signal: this.signal });
      if (note !== undefined && asyncLocalStorage.getStore() !== undefined) log.warn(note);
      return this.guard.engine(engine);
    }, (engine) => engine.close());
  }

  dtr(url = this.config.dtr.url): Promise<Dtr> {
    return this.once(`dtr ${url}`, async () => this.guard.dtr(this.connect.dtr({ ...(await this.login()), url, signal: this.signal })), (dtr) => dtr.close());
  }

  registry(): Promise<Registry> {
    return this.once('registry', async () => this.guard.registry(this.connect.registry({ ...(await this.login()), signal: this.signal })), (registry) => registry.close());
  }

  pingReplica(address: ReplicaAddress): Promise<{ healthy: boolean; error: string }> {
    this.signal?.throwIfAborted();
    return this.connect.pingReplica(address, this.signal);
  }

  host(node: string, override: HostOverride = {}): Promise<Host> {
    return this.once(`host ${node} ${JSON.stringify(override)}`, async () => this.guard.host(await this.connectHost(node, override)), (host) => host.close());
  }

  images(volume: ImagesVolume, helper: ImagesHelper): Promise<ImagesPlace> {
    if (this.config.images !== 'docker') return this.host(volume.host).then((host) => ({ host, root: volume.mountpoint }));
    return this.once(`images ${volume.host}/${volume.name}`, async () => {
      const { host, root } = await openImages(this, volume, helper);
      return { host: this.guard.host(host), root };
    }, ({ host }) => host.close());
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

  async engineNotes(): Promise<string[]> {
    const note = await replacedNote(this.name, this.deps.config.stateDir);
    return note === undefined ? [] : [note];
  }

  async bootstrapperEnv(): Promise<Record<string, string>> {
    const ucp = await this.ucp();
    return { UCP_USERNAME: this.config.ucp.username, UCP_PASSWORD: await resolveSecret(this.config.ucp.password, 'login'), UCP_CA: await ucp.ca() };
  }

  async workDir(operation: string): Promise<string> {
    const directory = path.join(this.deps.config.stateDir, 'work', operation);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  }

  otherVaults(): { name: string; vault: Vault }[] {
    const { vaults } = this.deps.config;
    return [this.config.vault, ...this.config.copies].filter((name) => name !== this.vaultName && Object.hasOwn(vaults, name)).map((name) => {
      const known = this.others.get(name) ?? this.guard.vault(this.connect.vault(vaults[name]!));
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
    return { url, caFile, insecure, username: this.config.ucp.username, password: await resolveSecret(this.config.ucp.password, 'login') };
  }

  private async connectHost(node: string, override: HostOverride): Promise<Host> {
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
    return this.connect.host(node, host, { knownHosts: ssh.knownHosts, hosts, hostKeyOverride: override.hostKey, signal: this.signal });
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
