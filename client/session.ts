/** One connection to Temporal with the settings of this machine; every call has a deadline and errors made for people. */
import { Client, Connection } from '@temporalio/client';
import { whyNoAnswer } from '../adapters/temporal/knock';
import type { ClusterConfig, Config } from '../domain/config';
import { DrydockError, noSuch } from '../domain/errors';
import { nearest } from '../domain/nearest';
import { findConfig, loadConfig, lookForConfig } from '../worker/config';
import { clientConnection, doorOf, proxyInBetween, temporalSettings, type TemporalSettings } from '../worker/temporal-settings';
import { fromTemporal, unreachable } from './failures';
import { readUpRecord } from './up-record';

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
  const settings = given ?? (await settingsHere(local));
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
        throw await named(error, settings);
      }
    },
    close: () => connection.close(),
  };
}

/** A `drydock up` that was given other ports has left word under stateDir where its UI is. */
async function settingsHere(local: LoadedConfig | undefined): Promise<TemporalSettings> {
  const settings = temporalSettings(local?.config.temporal);
  if (local === undefined || process.env.TEMPORAL_UI_URL) return settings;
  const up = await readUpRecord(local.config.stateDir);
  return up?.address === settings.address ? { ...settings, uiUrl: up.uiUrl } : settings;
}

async function connect(settings: TemporalSettings): Promise<Connection> {
  try {
    return await Connection.connect({ ...clientConnection(settings), connectTimeout: `${CONNECT_SECONDS}s` });
  } catch (error) {
    const known = await named(error, settings);
    throw known instanceof DrydockError ? known : ((await whyNoAnswer(doorOf(settings))) ?? inBetween(settings) ?? unreachable(settings.address, error));
  }
}

/** The error in words for people; where the server gave no answer at all, what keeps it from answering. */
async function named(error: unknown, settings: TemporalSettings): Promise<unknown> {
  const known = fromTemporal(error, settings.address, settings.namespace);
  if (!(known instanceof DrydockError) || known.kind !== 'TemporalUnavailable' || error instanceof DrydockError) return known;
  return (await whyNoAnswer(doorOf(settings))) ?? known;
}

/** The library of the command goes through proxies of which the worker knows nothing. */
function inBetween({ address }: TemporalSettings): DrydockError | undefined {
  const variable = proxyInBetween(address);
  if (variable === undefined) return undefined;
  return new DrydockError('TemporalUnavailable', `Temporal at ${address} does not answer through the proxy that ${variable} names`, { remedy: `it answers without: name ${address.replace(/:\d+$/, '')} in no_proxy, or unset ${variable}` });
}

/** The cluster's configuration; throws NotFound naming the clusters there are. */
export function clusterOf(local: LoadedConfig, name: string): ClusterConfig {
  const cluster = Object.hasOwn(local.config.clusters, name) ? local.config.clusters[name] : undefined;
  if (cluster) return cluster;
  const names = Object.keys(local.config.clusters);
  const guess = nearest(name, names);
  const expected = guess !== undefined ? `did you mean "${guess}"?` : `expected one of ${names.join(', ') || '(there are none)'}`;
  throw noSuch(`there is no cluster "${name}" in ${local.path}, ${expected}`, { remedy: 'name a cluster that the configuration has' });
}
