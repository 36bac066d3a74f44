/** Where a Temporal server is, and how we come to it. */
import { DrydockError } from '../../domain/errors';

export interface TemporalDoor {
  /** `host:port`, or a host alone: port 7233. */
  address: string;
  /** As the SDK takes it; a key for the API switches TLS on. */
  tls?: TemporalTls | boolean | null;
  hasApiKey?: boolean;
}

export interface TemporalTls {
  serverNameOverride?: string;
  serverRootCACertificate?: Uint8Array;
  clientCertPair?: { crt: Uint8Array; key: Uint8Array };
}

export interface Place {
  host: string;
  port: number;
  /** As the person wrote it. */
  where: string;
}

const DEFAULT_PORT = 7233;

/** Throws InvalidInput for what is no address. */
export function placeOf(address: string): Place {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+))(?::(\d{1,5}))?$/.exec(address);
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if (!match || port < 1 || port > 65_535) {
    throw new DrydockError('InvalidInput', `"${address}" is no address of a Temporal server`, { remedy: 'write temporal.address or TEMPORAL_ADDRESS as HOST:PORT, without https://' });
  }
  return { host: match[1] ?? match[2] ?? '', port, where: address };
}
