/** Every call of every step to the outside goes through this door: it counts them, and at one of them it cancels the run or lets the worker die. */
import { type Context } from '@temporalio/activity';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connect } from '../../activities/connect';
import { READS } from '../../activities/guard';
import type { RemoteProcess } from '../../adapters/host/host';
import { openDirectoryVault } from '../../adapters/vault/directory';
import type { Vault, VaultUpload } from '../../adapters/vault/vault';
import { standInEngine } from './engine';
import { standInHost } from './host';
import { standInDtr, standInRegistry, standInUcp } from './registry';
import type { World } from './world';

export interface Point {
  /** `<activity>#<how manieth of that name in the run>` */
  step: string;
  /** After which of its calls. */
  call: number;
  /** `cancelUnheard`: the step hears of it no sooner than it would by its own heartbeats. */
  act: 'cancel' | 'cancelUnheard' | 'kill';
}

export interface Call {
  what: string;
  changes: boolean;
}

const NEVER = new Promise<never>(() => undefined);
/** A step that no cancel reaches (an undo) is not waited for any longer. */
const HEARD_MS = 2_000;
const BEAT_MS = 25;

export class Door {
  /** By step, of first attempts. */
  readonly calls = new Map<string, Call[]>();
  isReached = false;
  private readonly steps = new Map<string, string>();
  private readonly dead = new Set<Context>();
  private readonly processes = new Map<Context, Set<RemoteProcess>>();

  constructor(readonly world: World, private readonly point: Point | undefined, private readonly cancelRun: () => Promise<void>) {}

  /** Steps that change something. */
  changing(): string[] {
    return [...this.calls].filter(([, calls]) => calls.some(({ changes }) => changes)).map(([step]) => step);
  }

  connect(context: Context): Omit<Connect, 'vault'> & { vault: (directory: string) => Vault } {
    const { world } = this;
    const inside = (what: string): Promise<void> => this.pass(context, what, true, async () => undefined);
    return {
      ucp: async () => this.over(context, 'ucp', standInUcp(), READS.ucp),
      engine: async () => ({ engine: this.over(context, 'engine', standInEngine(world, inside), READS.engine) }),
      dtr: () => this.over(context, 'dtr', standInDtr(world), READS.dtr),
      registry: () => this.over(context, 'registry', standInRegistry(), READS.registry),
      host: async (node) => this.over(context, node, standInHost(world, node), []),
      vault: (directory) => this.over(context, 'vault', openDirectoryVault(directory), READS.vault),
      pingReplica: ({ host }) => this.pass(context, 'ping', false, async () => {
        const node = world.nodes.find(({ address }) => address === host)?.hostname;
        const id = [...world.containers.values()].find((each) => each.node === node && /dtr-rethinkdb-/.test(each.name))?.name.slice(-12);
        const healthy = id !== undefined && world.isHealthy(id);
        return { healthy, error: healthy ? '' : 'it is not well' };
      }),
    };
  }

  private over<T extends object>(context: Context, where: string, connection: T, reads: readonly string[]): T {
    return new Proxy(connection, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== 'function' || typeof key !== 'string' || key === 'close') return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        const method = value.bind(target) as (...args: unknown[]) => unknown;
        if (key === 'list') return (...args: unknown[]) => this.entries(context, method(...args) as AsyncIterable<unknown>);
        return (...args: unknown[]) => {
          const changes = where.startsWith('node-') ? isChange(args[0] as string[]) : !reads.includes(key);
          const what = where.startsWith('node-') ? `${where}: ${(args[0] as string[]).join(' ').slice(0, 60)}` : `${where}.${key} ${typeof args[0] === 'string' ? args[0] : ''}`;
          return this.pass(context, what, changes, async () => this.wrap(context, key, await method(...args), args));
        };
      },
    });
  }

  private wrap(context: Context, key: string, result: unknown, args: unknown[]): unknown {
    if (key === 'spawn') {
      const own = this.processes.get(context) ?? new Set();
      this.processes.set(context, own.add(result as RemoteProcess));
    }
    if (key !== 'upload') return result;
    const upload = result as VaultUpload;
    return { stream: upload.stream, commit: () => this.pass(context, `vault.commit ${String(args[0])}`, true, () => upload.commit()), abort: () => upload.abort() };
  }

  private async *entries(context: Context, list: AsyncIterable<unknown>): AsyncIterable<unknown> {
    await this.pass(context, 'vault.list', false, async () => undefined);
    yield* list;
  }

  private async pass<T>(context: Context, what: string, changes: boolean, work: () => Promise<T>): Promise<T> {
    if (this.dead.has(context)) return NEVER;
    const step = this.stepOf(context);
    const result = await work();
    if (this.dead.has(context)) return NEVER;
    if (context.info.attempt > 1) return result;
    const calls = this.calls.get(step) ?? [];
    this.calls.set(step, calls);
    calls.push({ what, changes });
    const { point } = this;
    if (point?.step !== step || point.call !== calls.length) return result;
    this.isReached = true;
    if (point.act === 'kill') return this.die(context);
    await this.cancelRun();
    if (point.act === 'cancel') await heard(context);
    return result;
  }

  private stepOf({ info: { activityId, activityType } }: Context): string {
    const known = this.steps.get(activityId);
    if (known !== undefined) return known;
    const step = `${activityType}#${[...this.steps.values()].filter((each) => each.startsWith(`${activityType}#`)).length + 1}`;
    this.steps.set(activityId, step);
    return step;
  }

  /** As a process that was killed: no call, no heartbeat, no end. */
  private die(context: Context): Promise<never> {
    this.dead.add(context);
    Object.defineProperty(context, 'heartbeat', { value: () => undefined });
    for (const process of this.processes.get(context) ?? []) void process.kill();
    return NEVER;
  }
}

/** The cancel reaches a step with the answer to a heartbeat. */
async function heard(context: Context): Promise<void> {
  for (const end = Date.now() + HEARD_MS; !context.cancellationSignal.aborted && Date.now() < end; await sleep(BEAT_MS)) context.heartbeat(context.info.heartbeatDetails);
}

function isChange(command: string[]): boolean {
  return /\b(rm|mkdir|cp|chown|chmod|create|-xf)\b/.test(command.join(' '));
}
