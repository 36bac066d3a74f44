/** A registry volume of a node without SSH: a helper container that mounts it, behind the same interface as a host. */
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrydockError } from '../../domain/errors';
import type { ContainerCommand, Engine } from '../docker/engine';
import { ContainerStart, EndMark, exitOf, HELPER_IMAGE } from './container-start';
import { DEFAULT_STALL_MS, execOn } from './exec';
import type { ExecOptions, ExecResult, Host, SpawnOptions } from './host';
import { ChannelProcess, KILL_GRACE_MS, killer, runQuietly, type Channel, type Connection, type Exit, type StartOptions } from './process';

/** Where the volume stands inside. */
export const VOLUME_ROOT = '/volume';

export interface HelperContainer {
  /** With tag; must have `sh`, `cat` and what is to be run. */
  image: string;
  /** Name of a volume, or a path of the node. */
  source: string;
  /** Swarm host name, through UCP. */
  node?: string;
  labels: Record<string, string>;
  securityOpt?: string[];
}

/** Something moves on the lifeline at least so often, for proxies that cut silent connections. */
const SIGN_OF_LIFE_MS = 20_000;
/** Exit code of a command that was ended by SIGKILL. */
const KILLED = 137;
/** How often, and how far apart, a container is looked at that may be going. */
const GOING_LOOKS = 10;
const GOING_LOOK_MS = 200;

/**
 * Starts a helper container with the volume mounted read-only at `VOLUME_ROOT`, without network. It lives as long as we hold on to its standard input: when the worker
 * is killed or the connection is cut, its only process of its own reads an end, and the engine ends all else in it. Commands run as its root.
 * Throws NotFound (image, node), Refused (the image cannot run), EngineUnavailable.
 */
export async function openContainerHost(engine: Engine, name: string, helper: HelperContainer): Promise<Host> {
  const lifeline = new PassThrough();
  const timer = setInterval(() => lifeline.write('\n'), SIGN_OF_LIFE_MS);
  let started!: (id: string) => void;
  const id = new Promise<string>((resolve) => (started = resolve));
  const ended = engine.run({
    image: helper.image, entrypoint: ['cat'], command: [], binds: [`${helper.source}:${VOLUME_ROOT}:ro`], network: 'none', labels: helper.labels,
    stdin: lifeline, onStarted: started, stallMs: 10 * SIGN_OF_LIFE_MS,
    onStdout: async (stream) => {
      // What we say to stay alive comes back.
      for await (const chunk of stream) void chunk;
    },
    ...(helper.node === undefined ? {} : { node: helper.node }),
    ...(helper.securityOpt === undefined ? {} : { securityOpt: helper.securityOpt }),
  }).finally(() => clearInterval(timer));
  try {
    const running = await Promise.race([id, ended.then(() => Promise.reject(goneAtOnce(name)))]);
    return new ContainerHost(name, engine, running, lifeline, ended);
  } catch (error) {
    throw error instanceof DrydockError && /executable file not found|no such file or directory/i.test(error.message)
      ? new DrydockError('Refused', `${name} cannot be started: ${error.message}`, { remedy: HELPER_IMAGE })
      : error;
  }
}

function goneAtOnce(name: string): DrydockError {
  return new DrydockError('CommandFailed', `${name} ended as soon as it was started`, { remedy: HELPER_IMAGE });
}

class ContainerHost implements Host {
  private lost: DrydockError | undefined;
  private readonly listeners = new Set<(why: DrydockError) => void>();
  private readonly connection: Connection;
  private readonly over: Promise<void>;

  constructor(
    readonly name: string,
    private readonly engine: Engine,
    private readonly id: string,
    private readonly lifeline: PassThrough,
    ended: Promise<unknown>,
  ) {
    this.connection = {
      hostName: name,
      lost: () => this.lost,
      onLost: (listener) => {
        if (this.lost !== undefined) listener(this.lost);
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
      endGroup: (group, root) => runQuietly(() => this.start(killer(group), { root, stallMs: KILL_GRACE_MS })),
    };
    this.over = ended.then(
      () => this.lose(undefined),
      (cause: unknown) => this.lose(cause),
    );
  }

  exec(command: string[], options: ExecOptions = {}): Promise<ExecResult> {
    return execOn(this, command, options);
  }

  async spawn(command: string[], options: SpawnOptions = {}): Promise<ChannelProcess> {
    options.signal?.throwIfAborted();
    return this.start(command, { root: true, stallMs: options.stallMs ?? DEFAULT_STALL_MS, signal: options.signal, onStderr: options.onStderr });
  }

  async close(): Promise<void> {
    this.lost ??= new DrydockError('EngineUnavailable', `${this.name} is closed`);
    // Where this cannot be said any more, the end of the lifeline says it.
    await this.engine.removeContainer(this.id, { force: true }).catch(() => undefined);
    this.lifeline.end();
    await this.over;
  }

  private async start(command: string[], options: StartOptions): Promise<ChannelProcess> {
    if (this.lost !== undefined) throw this.lost;
    const start = new ContainerStart(this.name, command);
    const running = await this.engine.exec(this.id, start.argv, options.signal).catch(async (error: unknown) => {
      options.signal?.throwIfAborted();
      throw (await this.isGone()) ? this.cut() : error;
    });
    const channel = this.channelOf(running, start);
    const process = new ChannelProcess(this.connection, channel, command, options, start);
    await process.started();
    return process;
  }

  private channelOf(command: ContainerCommand, start: ContainerStart): Channel {
    const output = new EndMark(start);
    const closed = new Promise<void>((resolve) => output.once('close', resolve));
    const gone = new Promise<never>((_resolve, reject) => {
      const leave = this.connection.onLost(reject);
      void closed.then(leave);
    });
    gone.catch(() => undefined);
    const status = Promise.race([this.statusOf(command, output), gone]);
    status.catch(() => undefined);
    command.stdout.on('error', (error) => output.destroy(error)).pipe(output);
    return {
      input: command.stdin,
      output,
      errors: command.stderr,
      status,
      closed,
      release: () => {
        command.destroy();
        output.destroy();
      },
    };
  }

  /** By the command's own word; without it, by the engine's, where that tells that the command was killed or never ran. */
  private async statusOf(command: ContainerCommand, output: EndMark): Promise<Exit> {
    await new Promise<void>((resolve, reject) => {
      output.once('error', reject).once('close', () => (output.writableFinished ? resolve() : reject(this.cut())));
      output.once('finish', resolve);
    });
    if (output.code !== null) return exitOf(output.code);
    // Commands go with their container: what looks like a kill, or is not known any more, is then a lost connection, and may be tried again.
    const code = await command.exitCode().catch(async (error: unknown) => {
      throw (await this.isGone()) ? this.cut() : error;
    });
    if (code === null || code === 0 || (await this.isGone())) throw this.cut();
    if (code === KILLED && (await this.goesSoon())) throw this.cut();
    return exitOf(code);
  }

  /** The engine tells of a command that was killed with its container sooner than of the container. */
  private async goesSoon(): Promise<boolean> {
    for (let n = 0; n < GOING_LOOKS; n++) {
      await sleep(GOING_LOOK_MS);
      if (await this.isGone()) return true;
    }
    return false;
  }

  private async isGone(): Promise<boolean> {
    if (this.lost !== undefined) return true;
    return this.engine.container(this.id).then(({ running }) => !running, () => true);
  }

  private cut(): DrydockError {
    return this.lost ?? new DrydockError('EngineUnavailable', `the connection to ${this.name} was cut`, { remedy: 'check UCP, the node, and any load balancer in between' });
  }

  private lose(cause: unknown): void {
    const why = cause instanceof DrydockError ? `: ${cause.message}` : '';
    this.lost ??= new DrydockError('EngineUnavailable', `${this.name} is gone${why}`, { remedy: 'check UCP and the node; the next attempt starts another one', cause });
    for (const listener of [...this.listeners]) listener(this.lost);
  }
}
