/** The worker's connection to Temporal: waits for a server that is not up yet, and says what keeps it from answering. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NativeConnection } from '@temporalio/worker';
import type { Logger } from 'pino';
import { whyNoAnswer } from '../adapters/temporal/knock';
import { DrydockError } from '../domain/errors';
import { doorOf, type TemporalSettings } from './temporal-settings';

const RETRY_SECONDS = 3;
/** Once at first, and whenever the cause is another one. */
const LOG_EVERY = 10;

export interface Waiting {
  logger: Pick<Logger, 'warn'>;
  signal: AbortSignal;
}

/** Undefined when `signal` aborts first. Throws what waiting cannot mend: AuthRejected, InvalidInput, TlsRejected where this machine knows no authority. */
export async function connectPatiently(settings: TemporalSettings, { logger, signal }: Waiting): Promise<NativeConnection | undefined> {
  let told = '';
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      return await NativeConnection.connect({ address: settings.address, ...settings.connection });
    } catch (cause) {
      const fault = await faultOf(settings, cause);
      if (isFinal(fault)) throw fault;
      if (attempt % LOG_EVERY === 1 || fault.message !== told) logger.warn(`${fault.message}; ${fault.remedy ?? 'look at the server'}; trying again every ${RETRY_SECONDS} s`);
      told = fault.message;
      await sleep(RETRY_SECONDS * 1000, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

function isFinal({ kind, details }: DrydockError): boolean {
  return kind === 'AuthRejected' || kind === 'InvalidInput' || details?.noAuthorities === true;
}

/** What the server or the way to it says, in one sentence with the way out. */
async function faultOf(settings: TemporalSettings, cause: unknown): Promise<DrydockError> {
  const words = cause instanceof Error ? cause.message : String(cause);
  if (/NativeCertsNotFound/.test(words)) {
    return new DrydockError('TlsRejected', `no native root certificates found: this machine knows no authority that could have signed the certificate of Temporal at ${settings.address}`, {
      remedy: 'install the package ca-certificates, or name the authority by TEMPORAL_TLS_SERVER_CA_CERT_PATH', cause, details: { noAuthorities: true },
    });
  }
  const refusal = refusalOf(words, settings, cause);
  if (refusal !== undefined) return refusal;
  return (await whyNoAnswer(doorOf(settings))) ?? new DrydockError('TemporalUnavailable', `Temporal at ${settings.address} does not answer as it should: ${clip(words)}`, { remedy: 'look at the server, and at proxies in between', cause });
}

/** The server speaks, and says no. */
export function refusalOf(words: string, { address, namespace }: TemporalSettings, cause: unknown): DrydockError | undefined {
  if (/unauthenticated|permission.?denied|valid authentication credentials|not have permission/i.test(words)) {
    return new DrydockError('AuthRejected', `Temporal at ${address} does not let this worker in; it says: ${clip(saidIn(words))}`, {
      remedy: `check TEMPORAL_API_KEY, or the client certificate of TEMPORAL_TLS_CLIENT_CERT_PATH, and that it is for the namespace "${namespace}"`, cause,
    });
  }
  if (/namespace .*not found/i.test(words)) {
    return new DrydockError('InvalidInput', `Temporal at ${address} has no namespace "${namespace}"`, {
      remedy: `create it (temporal operator namespace create --namespace ${namespace}) or correct temporal.namespace or TEMPORAL_NAMESPACE`, cause,
    });
  }
  return undefined;
}

/** The message inside the form in which the SDK's core gives a status. */
function saidIn(words: string): string {
  return /message: "((?:[^"\\]|\\.)*)"/.exec(words)?.[1] ?? words;
}

function clip(words: string): string {
  const line = words.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}...` : line;
}
