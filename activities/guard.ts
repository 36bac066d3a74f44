/**
 * What a cancelled step may still do. Every connection of a step stands behind a guard: once the step's signal has fired, no call begins. One
 * that had begun is waited for, because what it changes must be known before anything is put back: but not for ever. What the step itself has
 * to clean up goes another way, `forCleanUp`, and has its own limit.
 */
import type { Engine } from '../adapters/docker/engine';
import type { Dtr } from '../adapters/dtr/dtr';
import type { ExecOptions, Host } from '../adapters/host/host';
import type { Registry } from '../adapters/registry/registry';
import type { Ucp } from '../adapters/ucp/ucp';
import type { Vault, VaultUpload } from '../adapters/vault/vault';

/** Milliseconds after the cancel, so that a step ends within half a minute. */
export const LIMITS = {
  /** A call that had begun is waited for until then. */
  calls: 22_000,
  /** What the step cleans up has to be done. */
  cleanUp: 26_000,
  /** Connections are closed. */
  close: 29_000,
  /** All that later where a container of ours, and the vendor's command in it, has to be ended first. */
  vendor: 60_000,
};

/** Calls that only look: given up at once when the signal fires. All others may change something, and are waited for. */
export const READS = {
  engine: ['info', 'containers', 'container', 'volume', 'volumes', 'nodes', 'hasImage'],
  dtr: ['ping', 'health', 'clusterStatus', 'version', 'settings', 'crons', 'cron', 'jobs', 'job', 'repositories', 'tags', 'teamAccess', 'namespaceAccess', 'imagescanStatus', 'certificateFingerprint'],
  ucp: ['login', 'isAdmin', 'id', 'ping', 'ca', 'accounts', 'fetchBundle'],
  registry: ['manifest', 'checkBlob'],
  vault: ['list', 'stat', 'read', 'readAll', 'openLocally', 'freeBytes'],
} as const satisfies { engine: readonly (keyof Engine)[]; dtr: readonly (keyof Dtr)[]; ucp: readonly (keyof Ucp)[]; registry: readonly (keyof Registry)[]; vault: readonly (keyof Vault)[] };

type Method = (...args: unknown[]) => unknown;

interface Rules<T> {
  reads: readonly (keyof T & string)[];
  /** What is done otherwise than by the connection itself. */
  own?: Partial<Record<keyof T & string, Method>>;
}

interface InFlight {
  isReading: boolean;
  giveUp: (reason: unknown) => void;
}

/** The same connection for clean-up inside a cancelled step, by the guarded one. */
const cleanUps = new WeakMap<object, object>();

/**
 * A connection as clean-up needs it: it goes although the step was cancelled, each call until shortly before the step must have ended. For what the
 * step itself left (a helper container, files aside), never for what goes on with its work.
 */
export function forCleanUp<T extends object>(connection: T): T {
  return (cleanUps.get(connection) as T | undefined) ?? connection;
}

/** One for each step. */
export class Guard {
  private readonly calls = new Set<InFlight>();
  private runs = 0;
  private cancelledAt = 0;
  private vendorMs = 0;
  private readonly onAbort = (): void => this.cancel();

  constructor(
    readonly signal: AbortSignal | undefined,
    private readonly limits = LIMITS,
  ) {
    if (signal?.aborted === true) this.cancel();
    else signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  engine(engine: Engine): Engine {
    const withSignal = <O extends { signal?: AbortSignal }>(options: O): O => ({ ...options, ...this.signalFor(options) });
    return this.over(engine, {
      reads: READS.engine,
      own: {
        run: (async (options: Parameters<Engine['run']>[0]) => {
          this.runs += 1;
          try {
            return await engine.run(withSignal(options));
          } finally {
            this.runs -= 1;
          }
        }) as Method,
        start: ((options: Parameters<Engine['start']>[0]) => engine.start(withSignal(options))) as Method,
      },
    });
  }

  dtr(dtr: Dtr): Dtr {
    return this.over(dtr, { reads: READS.dtr });
  }

  ucp(ucp: Ucp): Ucp {
    return this.over(ucp, { reads: READS.ucp });
  }

  registry(registry: Registry): Registry {
    return this.over(registry, { reads: READS.registry });
  }

  /** Commands are ended when the step is cancelled, whether or not they were given its signal. */
  host(host: Host): Host {
    const options = <O extends Pick<ExecOptions, 'signal'>>(given: O | undefined): O => ({ ...given, ...this.signalFor(given) }) as O;
    return this.over(host, {
      reads: [],
      own: {
        exec: ((command: string[], given?: ExecOptions) => host.exec(command, options(given))) as Method,
        spawn: ((command: string[], given?: ExecOptions) => host.spawn(command, options(given))) as Method,
      },
    });
  }

  vault(vault: Vault): Vault {
    return this.over(vault, {
      reads: READS.vault,
      own: {
        list: ((prefix: string) => this.entries(vault.list(prefix))) as Method,
        // What comes although nobody waits for it any more is let go of.
        read: (async (...args: Parameters<Vault['read']>) => this.late(await vault.read(...args), (stream) => void stream.destroy())) as Method,
        openLocally: (async (name: string) => this.late(await vault.openLocally!(name), (file) => file.close())) as Method,
        upload: (async (...args: Parameters<Vault['upload']>) => this.upload(await this.late(await vault.upload(...args), (upload) => upload.abort()))) as Method,
      },
    });
  }

  /** Ends with the work; or, where that does not end after a cancel, when its time is over: nothing of it can begin a call any more. */
  async finish<T>(work: Promise<T>, close: () => Promise<void>): Promise<T> {
    try {
      return await this.until(work, this.limits.cleanUp);
    } finally {
      await this.until(close(), this.limits.close).catch(() => undefined);
      this.signal?.removeEventListener('abort', this.onAbort);
    }
  }

  private over<T extends object>(connection: T, rules: Rules<T>): T {
    if (this.signal === undefined) return connection;
    const reads = new Set<string>(rules.reads);
    const guarded = new Proxy(connection, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function' || typeof key !== 'string') return value;
        const method = value.bind(target) as Method;
        if (key === 'close') return method;
        const own = rules.own?.[key as keyof T & string];
        // A list is no call yet: its entries are.
        if (key === 'list' && own) return own;
        return (...args: unknown[]) => this.call(() => (own ?? method)(...args), reads.has(key));
      },
    });
    cleanUps.set(guarded, this.cleaning(connection));
    return guarded;
  }

  /** The connection itself, each call with a limit once the step is cancelled. */
  private cleaning<T extends object>(connection: T): T {
    return new Proxy(connection, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function' || typeof key !== 'string') return value;
        const method = value.bind(target) as Method;
        if (key === 'close' || key === 'list') return method;
        return (...args: unknown[]) => this.until(Promise.resolve(method(...args)), this.limits.cleanUp);
      },
    });
  }

  private async call(begin: () => unknown, isReading: boolean): Promise<unknown> {
    this.signal?.throwIfAborted();
    const { signal } = this;
    if (signal === undefined) return begin();
    return new Promise((resolve, reject) => {
      const flight: InFlight = { isReading, giveUp: reject };
      this.calls.add(flight);
      void Promise.resolve()
        .then(begin)
        .then(resolve, reject)
        .finally(() => this.calls.delete(flight));
    });
  }

  private async *entries<T>(list: AsyncIterable<T>): AsyncIterable<T> {
    this.signal?.throwIfAborted();
    for await (const entry of list) {
      yield entry;
      this.signal?.throwIfAborted();
    }
  }

  private async late<T>(result: T, letGo: (result: T) => Promise<void> | void): Promise<T> {
    if (this.signal?.aborted !== true) return result;
    await letGo(result);
    throw this.signal.reason;
  }

  /** An object that is complete, but has no name yet, gets none in a cancelled step. */
  private upload(upload: VaultUpload): VaultUpload {
    const commit = async (): Promise<unknown> => {
      if (this.signal?.aborted === true) await upload.abort();
      return this.call(() => upload.commit(), false);
    };
    return { stream: upload.stream, commit: async () => void (await commit()), abort: () => upload.abort() };
  }

  private signalFor(given: { signal?: AbortSignal } | undefined): { signal?: AbortSignal } {
    if (given?.signal !== undefined || this.signal === undefined) return {};
    return { signal: this.signal };
  }

  private cancel(): void {
    this.cancelledAt = Date.now();
    this.vendorMs = this.runs > 0 ? this.limits.vendor : 0;
    const reason: unknown = this.signal?.reason;
    for (const flight of [...this.calls]) if (flight.isReading) flight.giveUp(reason);
    this.after(this.limits.calls, () => this.calls.forEach((flight) => flight.giveUp(reason)));
  }

  /** Rejects with the cancellation's reason when the work has not ended so long after it. */
  private until<T>(work: Promise<T>, limitMs: number): Promise<T> {
    const { signal } = this;
    if (signal === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      let stop = (): void => undefined;
      const onAbort = (): void => void (stop = this.after(limitMs, () => reject(signal.reason as Error)));
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      work.then(resolve, reject).finally(() => {
        signal.removeEventListener('abort', onAbort);
        stop();
      }).catch(() => undefined);
    });
  }

  private after(limitMs: number, act: () => void): () => void {
    const timer = setTimeout(act, Math.max(0, this.cancelledAt + limitMs + this.vendorMs - Date.now()));
    timer.unref();
    return () => clearTimeout(timer);
  }
}
