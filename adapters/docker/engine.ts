import type { Readable, Writable } from 'node:stream';
import type { PullProgress } from './pull';

export interface ContainerSummary {
  id: string;
  /** Full names as the engine lists them, without the leading slash: through UCP `<node>/<name>`. */
  names: string[];
  image: string;
  state: string;
  status: string;
  labels: Record<string, string>;
}

export interface ContainerDetails {
  id: string;
  name: string;
  image: string;
  running: boolean;
  env: Record<string, string>;
  labels: Record<string, string>;
  mounts: { type: string; name?: string; source: string; destination: string; driver?: string }[];
  /** UCP adds the node (`Node.Name`); absent on a plain engine. */
  node?: string;
  /** Published ports, container port -> host port. */
  ports: Record<string, number>;
}

export interface VolumeDetails {
  name: string;
  driver: string;
  mountpoint: string;
  options: Record<string, string>;
  labels: Record<string, string>;
}

export interface EngineInfo {
  serverVersion: string;
  /** True when the version contains `ucp/`. */
  isUcp: boolean;
  clusterId?: string;
}

export interface NodeDetails {
  id: string;
  hostname: string;
  state: string;
  availability: string;
  /** `manager` as long as Docker counts it among those that hold the Swarm together: only then does it have to be demoted before it can be removed. */
  role: string;
  address: string;
}

export interface RunOptions {
  image: string;
  command: string[];
  entrypoint?: string[];
  /** Secrets go here and nowhere else; the container is removed with its end (AutoRemove). */
  env?: Record<string, string>;
  /** Swarm host name to run on (`constraint:node==`), through UCP. */
  node?: string;
  labels?: Record<string, string>;
  /** Standard input; absent = closed. */
  stdin?: Readable;
  /** Every chunk of standard output; may be slow (back-pressure is honoured). Absent = collected in `stdout`, 1 MiB at most. */
  onStdout?: (stream: Readable) => Promise<void>;
  /** Called for each line of standard error as it comes. */
  onStderrLine?: (line: string) => void;
  securityOpt?: string[];
  binds?: string[];
  /** Default: the engine's own network. */
  network?: 'none';
  /** Called once, when the container runs. */
  onStarted?: (id: string) => void;
  /** No byte on either stream for this long is `Stalled`. */
  stallMs?: number;
  signal?: AbortSignal;
}

export interface RunResult {
  exitCode: number;
  stdout: Buffer;
  /** Last 256 KiB of standard error. */
  stderr: string;
}

/** A command in a running container, its streams open. */
export interface ContainerCommand {
  /** Its end is the end of the command's input. */
  readonly stdin: Writable;
  /** Ends when the command closed it, and just so when the connection was cut: only what was agreed with the command can tell. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** As the engine tells it once both streams have ended; null while the command still runs then. */
  exitCode(): Promise<number | null>;
  /** Gives the streams up. The command is not ended by it. */
  destroy(): void;
}

/** The Docker API of one engine or of UCP: the calls that Drydock needs, no more. */
export interface PullOptions {
  signal?: AbortSignal;
  onProgress?: (progress: PullProgress) => void;
  /** Longest time without a word. Default: an hour. */
  silenceMs?: number;
}

export interface Engine {
  info(): Promise<EngineInfo>;
  /** All containers, stopped ones too; `name` filters by substring, `labels` by `key` or `key=value`. */
  containers(filter?: { name?: string; labels?: string[] }): Promise<ContainerSummary[]>;
  container(idOrName: string): Promise<ContainerDetails>;
  /** Already in the wanted state counts as success. */
  startContainer(idOrName: string): Promise<void>;
  stopContainer(idOrName: string, timeoutSeconds?: number): Promise<void>;
  removeContainer(idOrName: string, options?: { force?: boolean }): Promise<void>;
  /** Foreground run: no tty, log driver `none`, AutoRemove; the container is killed when the signal fires or the call fails. */
  run(options: RunOptions): Promise<RunResult>;
  /** Background container (for holding a mount); returns its id. Log driver none, AutoRemove. */
  start(options: Omit<RunOptions, 'stdin' | 'onStdout' | 'onStderrLine' | 'onStarted' | 'stallMs'>): Promise<string>;
  /** `docker exec -i` in a running container, as its root. Throws NotFound, Conflict (it does not run); the signal's reason when it fires before the engine was told to start. */
  exec(id: string, command: string[], signal?: AbortSignal): Promise<ContainerCommand>;
  /** Through UCP a volume is `<node>/<name>`. Null when it does not exist. */
  volume(name: string): Promise<VolumeDetails | null>;
  volumes(): Promise<{ name: string; driver: string }[]>;
  removeVolume(name: string): Promise<void>;
  nodes(): Promise<NodeDetails[]>;
  /** `docker node rm --force`. Not there counts as success. */
  removeNode(id: string): Promise<void>;
  /** Whether the engine has the image; through UCP whether any node has it, or the one that is named. */
  hasImage(reference: string, node?: string): Promise<boolean>;
  /** `docker pull`; through UCP every node pulls, and one that cannot is an error. Throws NotFound saying why; Stalled after a long silence. */
  pullImage(reference: string, options?: PullOptions): Promise<void>;
  close(): void;
}
