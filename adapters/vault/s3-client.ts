/** The way to one bucket: checked TLS through the environment's proxy, keys by reference, the server's own time. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Config } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { TlsDialer } from '../http/tls';
import { resolveSecret } from '../secrets/secrets';
import { translateChecksums, type ChecksumWay } from './s3-checksums';
import { s3Error, statusOf } from './s3-errors';
import { objectsUnder } from './s3-list';
import { SMALLEST_PART } from './s3-parts';

// Its version is pinned here, and what it says about later ones is for those who build Drydock, not for those who run it.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const CONNECT_TIMEOUT_MS = 15_000;
/** A connection on which nothing moves for this long is given up; a server may take a while to put large parts together. */
export const STALL_MS = 120_000;
const ATTEMPTS = 4;
const MAX_SOCKETS = 64;
/** So far off, a clock makes a server refuse a signature. */
const SKEW_MS = 4 * 60 * 1000;

export class S3Connection {
  readonly bucket: string;
  /** For people: `s3 https://s3.example.com/bucket/prefix`. */
  readonly description: string;
  /** In front of every name: empty, or ending in `/`. */
  readonly prefix: string;
  /** For everything but the bytes of objects that are read: a stalled connection is an error. */
  readonly calls: S3Client;
  /** For reading objects: whoever reads slowly leaves the connection idle. */
  readonly reads: S3Client;
  /** What the server takes of checksums; the first way until another was found out. */
  checksums: ChecksumWay = 'sha256';
  /** Size of the smallest parts: less where what stands before the server takes no larger bodies. */
  smallestPart = SMALLEST_PART;
  /** Whether the server knows the first form of listings only. */
  listsOldForm = false;
  /** What the server's clock is ahead of ours, in milliseconds. */
  private ahead: number | null = null;

  constructor(readonly settings: S3Config) {
    this.bucket = settings.bucket;
    const prefix = (settings.prefix ?? '').replace(/\/+$/, '');
    this.prefix = prefix === '' ? '' : `${prefix}/`;
    this.description = `s3 ${settings.endpoint?.replace(/\/+$/, '') ?? 'aws'}/${settings.bucket}${prefix === '' ? '' : `/${prefix}`}`;
    this.calls = this.client(STALL_MS);
    this.reads = this.client(0);
  }

  /** The object's key. */
  key(name: string): string {
    return this.prefix + name;
  }

  /** The server's time now, right to a second. */
  async now(): Promise<Date> {
    // Any answer tells it.
    if (this.ahead === null) await objectsUnder(this, this.key('vault.json'), 'ask for the time').next();
    if (this.ahead === null) throw new DrydockError('VaultUnavailable', `${this.description} does not say what time it is`, { remedy: 'an S3 server sends a Date header with each answer; look at what stands between it and the worker' });
    return new Date(Date.now() + this.ahead);
  }

  /** The server's time, asked for anew. */
  async clock(): Promise<Date> {
    this.ahead = null;
    return this.now();
  }

  /** Makes every error of the call readable. `doing` is a verb phrase. */
  async run<T>(doing: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw this.toError(error, doing);
    }
  }

  toError(error: unknown, doing: string): DrydockError {
    return s3Error(error, this.description, this.bucket, doing);
  }

  /** Ends idle connections; the next call opens new ones. */
  close(): void {
    for (const agent of this.agents) agent.destroy();
  }

  private readonly agents: (HttpAgent | HttpsAgent)[] = [];

  private client(socketTimeout: number): S3Client {
    const { endpoint, region, forcePathStyle, caFile } = this.settings;
    const httpsAgent = new CheckedAgent(new TlsDialer({ caFile }), { keepAlive: true, maxSockets: MAX_SOCKETS });
    const httpAgent = new HttpAgent({ keepAlive: true, maxSockets: MAX_SOCKETS });
    this.agents.push(httpsAgent, httpAgent);
    const config: S3ClientConfig = {
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined && endpoint === undefined ? {} : { region: region ?? 'us-east-1' }),
      forcePathStyle: forcePathStyle ?? endpoint !== undefined,
      ...this.credentials(),
      maxAttempts: ATTEMPTS,
      // We send our own SHA-256 with every object; what is read is compared with the digests of the vault.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { httpsAgent, httpAgent, connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout },
    };
    const client = new S3Client(config);
    client.middlewareStack.add(
      (next) => async (args) => {
        try {
          const result = await next(args);
          this.noteTime(result.response);
          return result;
        } catch (error) {
          this.noteTime((error as { $response?: unknown }).$response);
          throw error;
        }
      },
      { step: 'deserialize', priority: 'low', name: 'serverTime' },
    );
    client.middlewareStack.add(
      (next) => async (args) => {
        const before = client.config.systemClockOffset;
        try {
          return await next(args);
        } catch (error) {
          // The SDK learns the server's time from the refusal, but tries again only when our clock turned wrong, not when it was put right.
          if (statusOf(error) !== 403 || Math.abs(client.config.systemClockOffset - before) < SKEW_MS) throw error;
          return next(args);
        }
      },
      { step: 'initialize', name: 'clockPutRight' },
    );
    translateChecksums(client, () => this.checksums);
    return client;
  }

  /** Read when they are first needed, so that a wrong reference is an error of the call. */
  private credentials(): Pick<S3ClientConfig, 'credentials'> {
    const { accessKeyId, secretAccessKey, sessionToken } = this.settings;
    if (accessKeyId === undefined || secretAccessKey === undefined) return {};
    return {
      credentials: async () => ({
        accessKeyId: await resolveSecret(accessKeyId),
        secretAccessKey: await resolveSecret(secretAccessKey),
        ...(sessionToken === undefined ? {} : { sessionToken: await resolveSecret(sessionToken) }),
      }),
    };
  }

  private noteTime(response: unknown): void {
    const { headers } = (response ?? {}) as { headers?: Record<string, string | undefined> };
    const told = Date.parse(headers?.['date'] ?? '');
    if (!Number.isNaN(told)) this.ahead = told - Date.now();
  }
}

/** Connections by our own dialer, as for every other service. */
class CheckedAgent extends HttpsAgent {
  constructor(private readonly dialer: TlsDialer, options: AgentOptions) {
    super(options);
  }

  override createConnection(options: { host?: string | null; port?: number | string | null }, callback?: (error: Error | null, stream: Duplex) => void): Duplex | null | undefined {
    this.dialer.dial(options.host ?? '', Number(options.port ?? 443), CONNECT_TIMEOUT_MS).then(
      (socket) => callback?.(null, socket),
      (error: Error) => callback?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  }
}
