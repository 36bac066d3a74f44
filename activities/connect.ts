/** How the outside world is reached: one function for each thing that a step speaks to. Tests give others. */
import { connectEngine } from '../adapters/docker/dockerode';
import type { Engine } from '../adapters/docker/engine';
import { connectDtr, type DtrOptions } from '../adapters/dtr/client';
import type { Dtr } from '../adapters/dtr/dtr';
import { pingReplica, type ReplicaAddress } from '../adapters/dtr/replica-ping';
import type { Host } from '../adapters/host/host';
import { connectHost, type SshOptions } from '../adapters/host/ssh';
import { connectRegistry, type RegistryOptions } from '../adapters/registry/client';
import type { Registry } from '../adapters/registry/registry';
import { bundleFor, engineAddress } from '../adapters/ucp/bundle';
import { connectUcp } from '../adapters/ucp/client';
import type { Ucp } from '../adapters/ucp/ucp';
import { openVault } from '../adapters/vault/open';
import type { Vault } from '../adapters/vault/vault';
import type { ClusterConfig, HostConfig, VaultConfig } from '../domain/config';

/** Each throws what its adapter throws; a signal that fires ends the connecting. */
export interface Connect {
  ucp(config: ClusterConfig['ucp'], options: { signal?: AbortSignal }): Promise<Ucp>;
  /** With the cluster's client bundle, which may have to be fetched through `ucp` and is kept under `stateDir`. */
  engine(cluster: string, config: ClusterConfig['ucp'], stateDir: string, ucp: Ucp): Promise<Engine>;
  dtr(options: DtrOptions): Dtr;
  registry(options: RegistryOptions): Registry;
  /** By Swarm host name. */
  host(node: string, config: HostConfig, options: SshOptions): Promise<Host>;
  vault(settings: VaultConfig): Vault;
  pingReplica(address: ReplicaAddress, signal?: AbortSignal): Promise<{ healthy: boolean; error: string }>;
}

export const realConnections: Connect = {
  ucp: connectUcp,
  engine: async (cluster, config, stateDir, ucp) => {
    const bundle = await bundleFor(cluster, config, stateDir, ucp);
    return connectEngine({ ...engineAddress(bundle), insecure: config.insecureSkipTlsVerify });
  },
  dtr: connectDtr,
  registry: connectRegistry,
  host: connectHost,
  vault: openVault,
  pingReplica,
};
