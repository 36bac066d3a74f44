/** What is shown by the commands that go on until they are told to stop: from their start to their end, and where they cannot start. Server, worker and terminal are real. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { place, start, type Place, type Running } from '../client/fixtures/drydock';
import { freePort } from '../helpers/free-port';
import { inPipe, onTerminal, type Conversation, type Shown } from './screen';
import { settler } from './settle';
import { assertStored } from './stored';

const WIDTHS = [80, 120];
const DIRECTORY = '/srv/drydock';

interface Scene {
  name: string;
  /** As it is shown: a word in capitals stands for a place of this run. */
  line: string;
  env?: NodeJS.ProcessEnv;
  ends?: Conversation['ends'];
  /** Stands beside it, in each form, until all is over. */
  beside?: () => Promise<() => Promise<unknown>>;
  /** Leaves something behind for it, each time anew. */
  before?: () => Promise<void>;
}

describe('what the commands show that go on until they are told to stop', function () {
  this.timeout(300_000);
  let here: Place;
  const places: Record<string, string> = {};
  const names = new Map<string, string>();

  before(async () => {
    const [port, uiPort, other, otherUi] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    here = await place({ address: `127.0.0.1:${port}`, uiPort });
    const config = await readFile(here.config, 'utf8');
    const variant = async (name: string, change: (text: string) => string): Promise<string> => {
      const file = path.join(here.directory, `${name}.yaml`);
      await writeFile(file, change(config));
      return file;
    };
    names.set(here.directory, `${DIRECTORY}${'/'.padEnd(here.directory.length - DIRECTORY.length, 'x')}`);
    await mkdir(path.join(here.directory, 'beside'));
    Object.assign(places, {
      CONFIG: here.config,
      BESIDE: await variant('beside', (text) => text.replace('stateDir: state', 'stateDir: beside')),
      FAR: await variant('far', (text) => text.replace(`127.0.0.1:${port}`, 'temporal.example.com:7233')),
      WRONG: await variant('wrong', (text) => text.replace('approvers: [operator, second]', 'approvers: operator\n    polcy: {verify: L2}').replace('vault: main', 'vault: mian')),
      TORN: await variant('torn', (text) => text.replace('vaults: {main:', 'vaults: {main')),
      ABSENT: path.join(here.directory, 'absent.yaml'),
      PORT: String(port), UI: String(uiPort), OTHER: String(other), OTHERUI: String(otherUi),
    });
  });
  after(() => here.remove());

  /** `drydock up` of another shell. */
  const up = async (): Promise<() => Promise<unknown>> => {
    const running = start(['up', '--config', here.config]);
    await running.said('Ctrl-C stops all');
    return () => stopped(running, 'SIGTERM');
  };
  /** One that was killed, and has left its server. */
  const upKilled = async (): Promise<void> => {
    const running = start(['up', '--config', here.config]);
    await running.said('Ctrl-C stops all');
    await stopped(running, 'SIGKILL');
  };
  const somethingElse = async (): Promise<() => Promise<unknown>> => {
    const holder = await listening(Number(places.PORT));
    return () => new Promise((resolve) => holder.close(resolve));
  };
  const killServer = async (): Promise<void> => {
    const { serverPid } = JSON.parse(await readFile(path.join(here.stateDir, 'up.json'), 'utf8')) as { serverPid: number };
    process.kill(serverPid, 'SIGKILL');
  };

  const upUntil = (by: NonNullable<Conversation['ends']>['by']): Conversation['ends'] => ({ at: 'Ctrl-C stops all', by });
  const workerUntil = (by: NodeJS.Signals): Conversation['ends'] => ({ at: 'listening on task queue', by });
  const scenes: Scene[] = [
    { name: 'version', line: '--version' },
    { name: 'up', line: 'up', ends: upUntil('SIGTERM') },
    { name: 'up-json', line: 'up --json', ends: { at: '"serverPid"', by: 'SIGINT' } },
    { name: 'up-other-ports', line: 'up --port OTHER --ui-port OTHERUI', ends: upUntil('SIGINT') },
    { name: 'up-twice', line: 'up', beside: up },
    { name: 'up-beside-another', line: 'up --config BESIDE', beside: up },
    { name: 'up-after-a-kill', line: 'up', before: upKilled, ends: upUntil('SIGINT') },
    { name: 'up-port-taken', line: 'up', beside: somethingElse },
    { name: 'up-server-ends', line: 'up', ends: upUntil(killServer) },
    { name: 'up-far', line: 'up --config FAR' },
    { name: 'up-far-outside', line: 'up', env: { TEMPORAL_ADDRESS: 'temporal.example.com:7233' } },
    { name: 'up-no-program', line: 'up', env: { TEMPORAL_CLI_PATH: '/opt/none/temporal' } },
    { name: 'up-wrong-config', line: 'up --config WRONG' },
    { name: 'up-torn-config', line: 'up --config TORN' },
    { name: 'worker', line: 'worker', beside: up, ends: workerUntil('SIGTERM') },
    { name: 'worker-no-server', line: 'worker', ends: { at: 'trying again', by: 'SIGTERM' } },
    { name: 'worker-no-namespace', line: 'worker', beside: up, env: { TEMPORAL_NAMESPACE: 'registry' } },
    { name: 'worker-wrong-config', line: 'worker --config WRONG' },
    { name: 'worker-no-config', line: 'worker --config ABSENT' },
  ];

  for (const scene of scenes) {
    it(`of \`drydock ${scene.line}\` is the stored text, in a pipe and at each width (${scene.name})`, async () => {
      const leave = await scene.beside?.();
      try {
        const forms: (readonly [string, Shown])[] = [['in a pipe', await shown(scene, inPipe)]];
        for (const columns of WIDTHS) forms.push([`on a terminal of ${columns} columns`, await shown(scene, (args, conversation) => onTerminal(args, columns, conversation))]);
        assertStored(scene.name, `drydock ${scene.line}`, forms);
      } finally {
        await leave?.();
      }
    });
  }

  async function shown({ line, env, ends, before: prepare }: Scene, show: (args: string[], conversation: Conversation) => Promise<Shown>): Promise<Shown> {
    await prepare?.();
    const args = line.split(' ').map((word) => places[word] ?? word);
    const isConfigured = line.includes('--config') || line === '--version';
    return show(isConfigured ? args : [...args, '--config', here.config], { ...(env ? { env } : {}), ...(ends ? { ends } : {}), settle: settler(names) });
  }
});

async function stopped({ child, finished }: Running, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await finished;
}

async function listening(port: number): Promise<Server> {
  const server = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}
