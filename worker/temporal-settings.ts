/** Where Temporal is: the configuration's `temporal` section as the default, the TEMPORAL_* environment over it. */
import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { configSchema, type Config } from '../domain/config';
import { DrydockError } from '../domain/errors';
import { readSecret } from '../domain/secret-text';

export interface TemporalSettings {
  address: string;
  namespace: string;
  taskQueue: string;
  uiUrl: string;
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
    const { tls, metadata } = toClientOptions(profile).connectionOptions;
    return {
      // An empty variable counts as unset: that is how compose files pass on what they do not have.
      address: profile.address || section.address,
      namespace: profile.namespace || section.namespace,
      taskQueue: section.taskQueue,
      uiUrl: section.uiUrl,
      connection: { tls, apiKey: apiKeyOf(profile.apiKey), metadata },
    };
  } catch (cause) {
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

/** Settings for one given server, whatever the environment says: the development server that this process started. */
export function localSettings(section: Config['temporal'], address: string, uiUrl: string): TemporalSettings {
  return { address, namespace: section.namespace, taskQueue: section.taskQueue, uiUrl, connection: {} };
}

function defaultSection(): Config['temporal'] {
  return configSchema.shape.temporal.parse({});
}

/** Link to one run in the Temporal UI. */
export function workflowUrl(settings: TemporalSettings, workflowId: string, runId?: string): string {
  const base = `${settings.uiUrl.replace(/\/$/, '')}/namespaces/${encodeURIComponent(settings.namespace)}/workflows/${encodeURIComponent(workflowId)}`;
  return runId === undefined ? base : `${base}/${encodeURIComponent(runId)}/history`;
}
