/** Where Temporal is: the configuration's `temporal` section as the default, the TEMPORAL_* environment over it. */
import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import type { ConnectionOptions } from '@temporalio/client';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { systemAuthorities } from '../adapters/http/tls';
import type { TemporalDoor } from '../adapters/temporal/door';
import { configSchema, type Config } from '../domain/config';
import { DrydockError } from '../domain/errors';
import { readSecret } from '../domain/secret-text';

export interface TemporalSettings {
  address: string;
  namespace: string;
  taskQueue: string;
  /** For links; null where nobody has said where the UI of this server is. */
  uiUrl: string | null;
  /** TLS, API key and gRPC metadata; fits `Connection` and `NativeConnection`. */
  connection: Pick<NativeConnectionOptions, 'tls' | 'apiKey' | 'metadata'>;
}

/**
 * Settings for this process. A `temporal.toml` counts only when TEMPORAL_CONFIG_FILE or TEMPORAL_PROFILE names it, so that a
 * profile made for something else does not silently move Drydock to another server.
 */
export function temporalSettings(section: Config['temporal'] = defaultSection()): TemporalSettings {
  const { env } = process;
  const fileNamed = Boolean(env.TEMPORAL_CONFIG_FILE ?? env.TEMPORAL_PROFILE);
  try {
    const profile = loadClientConfigProfile({ disableFile: !fileNamed });
    refuseHalfPair(profile.tls);
    const { tls, metadata } = toClientOptions(profile).connectionOptions;
    // An empty variable counts as unset: that is how compose files pass on what they do not have.
    const address = profile.address || section.address;
    return {
      address,
      namespace: profile.namespace || section.namespace,
      taskQueue: section.taskQueue,
      uiUrl: env.TEMPORAL_UI_URL || uiOf(address, section),
      connection: { tls, apiKey: apiKeyOf(profile.apiKey), metadata },
    };
  } catch (cause) {
    if (cause instanceof DrydockError) throw cause;
    throw new DrydockError('InvalidInput', `the TEMPORAL_* settings cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** It goes in an HTTP header, which says nothing of why it takes no line end. */
function apiKeyOf(value: string | undefined): string | undefined {
  if (!value) return undefined;
  const found = readSecret(value, 'header');
  if ('secret' in found) return found.secret;
  throw new Error(`TEMPORAL_API_KEY ${found.fault.what}; ${found.fault.remedy}`);
}

/** A link to the UI of another server would be worse than none: the setting is about its own address, and its default about a server on this machine. */
function uiOf(address: string, section: Config['temporal']): string | null {
  const unsaid = section.uiUrl === defaultSection().uiUrl && !LOOPBACK.test(address);
  return address !== section.address || unsaid ? null : section.uiUrl;
}

/** The SDK takes half of a pair for none, and the server then for a stranger. */
function refuseHalfPair(tls: { clientCert?: unknown; clientKey?: unknown } | undefined): void {
  if ((tls?.clientCert === undefined) === (tls?.clientKey === undefined)) return;
  const [there, lacking] = tls?.clientCert === undefined ? ['KEY', 'CERT'] : ['CERT', 'KEY'];
  throw new DrydockError('InvalidInput', `a client certificate for Temporal needs its key: TEMPORAL_TLS_CLIENT_${there}_PATH (or _DATA) is set, TEMPORAL_TLS_CLIENT_${lacking}_PATH is not`, { remedy: 'set both' });
}

/** Settings for one given server, whatever the environment says: the development server that this process started. */
export function localSettings(section: Config['temporal'], address: string, uiUrl: string): TemporalSettings {
  return { address, namespace: section.namespace, taskQueue: section.taskQueue, uiUrl, connection: {} };
}

/** For the probe that finds out why there is no answer. */
export function doorOf({ address, connection }: TemporalSettings): TemporalDoor {
  return { address, tls: connection.tls, hasApiKey: connection.apiKey !== undefined };
}

/** For a connection of the command: the authorities that the system knows count there as they do for the worker, and this machine itself is reached without a proxy. */
export function clientConnection({ address, connection }: TemporalSettings): ConnectionOptions {
  const { tls, apiKey, metadata } = connection;
  const channelArgs = LOOPBACK.test(address) ? { 'grpc.enable_http_proxy': 0 } : undefined;
  const withTls = typeof tls === 'object' && tls !== null ? tls : tls === true || (tls !== false && apiKey !== undefined) ? {} : undefined;
  const authorities = withTls !== undefined && withTls.serverRootCACertificate === undefined ? { serverRootCACertificate: Buffer.from(systemAuthorities().join('\n')) } : {};
  return { address, tls: withTls === undefined ? tls : { ...withTls, ...authorities }, apiKey, metadata, ...(channelArgs === undefined ? {} : { channelArgs }) };
}

const LOOPBACK = /^(127\.|localhost(:|$)|\[::1\])/;

/** The variable by which the command's library is led through a proxy to this address; undefined where it goes straight. */
export function proxyInBetween(address: string): string | undefined {
  if (LOOPBACK.test(address)) return undefined;
  return ['grpc_proxy', 'https_proxy', 'http_proxy'].find((name) => Boolean(process.env[name]));
}

function defaultSection(): Config['temporal'] {
  return configSchema.shape.temporal.parse({});
}

/** Link to one run in the Temporal UI; null where it is not known where that is. */
export function workflowUrl({ uiUrl, namespace }: TemporalSettings, workflowId: string, runId?: string): string | null {
  if (uiUrl === null) return null;
  const base = `${uiUrl.replace(/\/$/, '')}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(workflowId)}`;
  return runId === undefined ? base : `${base}/${encodeURIComponent(runId)}/history`;
}
