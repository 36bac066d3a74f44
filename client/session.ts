/** One connection to Temporal with the settings of this machine; every call has a deadline and errors made for people. */
import { Client, Connection } from '@temporalio/client';
import type { ClusterConfig, Config } from '../domain/config';
import { DrydockError } from '../domain/errors';
import { nearest } from '../domain/nearest';
import { findConfig, loadConfig, lookForConfig } from '../worker/config';
import { temporalSettings, type TemporalSettings } from '../worker/temporal-settings';
import { fromTemporal, unreachable } from './failures';

export interface Session {
  readonly client: Client;
  readonly settings: TemporalSettings;
  /** Absent on a machine that has no drydock.yaml: talking to Temporal needs none. */
  readonly local: LoadedConfig | undefined;
  /** Runs one call to Temporal. Default deadline 10 s. Throws DrydockError for what the server or the network says. */
  call<T>(action: (client: Client) => Promise<T>, seconds?: number): Promise<T>;
  close(): Promise<void>;
}

export interface LoadedConfig {
  path: string;
  config: Config;
}

const CONNECT_SECONDS = 5;
const CALL_SECONDS = 10;

/** The configuration that is named or lies here; undefined when there is none. */
export async function optionalConfig(option?: string): Promise<LoadedConfig | undefined> {
  const path = lookForConfig(option);
  return path === undefined ? undefined : { path, config: await loadConfig(path) };
}

/** Like `optionalConfig`, but throws InvalidInput when there is none. */
export async function requiredConfig(option?: string): Promise<LoadedConfig> {
  const path = findConfig(option);
  return { path, config: await loadConfig(path) };
}

/** Connects, or throws TemporalUnavailable with what to do about it. */
export async function openSession(local: LoadedConfig | undefined, given?: TemporalSettings): Promise<Session> {
  const settings = given ?? temporalSettings(local?.config.temporal);
  const connection = await connect(settings);
  const client = new Client({ connection, namespace: settings.namespace });
  return {
    client,
    settings,
    local,
    async call(action, seconds = CALL_SECONDS) {
      try {
        return await client.withDeadline(Date.now() + seconds * 1000, () => action(client));
      } catch (error) {
        throw fromTemporal(error, settings.address, settings.namespace);
      }
    },
    close: () => connection.close(),
  };
}

async function connect(settings: TemporalSettings): Promise<Connection> {
  try {
    return await Connection.connect({ address: settings.address, connectTimeout: `${CONNECT_SECONDS}s`, ...settings.connection });
  } catch (error) {
    const known = fromTemporal(error, settings.address, settings.namespace);
    throw known instanceof DrydockError ? known : unreachable(settings.address, error);
  }
}

/** The cluster's configuration; throws NotFound naming the clusters there are. */
export function clusterOf(local: LoadedConfig, name: string): ClusterConfig {
  const cluster = Object.hasOwn(local.config.clusters, name) ? local.config.clusters[name] : undefined;
  if (cluster) return cluster;
  const names = Object.keys(local.config.clusters);
  const guess = nearest(name, names);
  const expected = guess !== undefined ? `did you mean "${guess}"?` : `expected one of ${names.join(', ') || '(there are none)'}`;
  throw new DrydockError('NotFound', `there is no cluster "${name}" in ${local.path}, ${expected}`, { remedy: 'name a cluster that the configuration has' });
}
