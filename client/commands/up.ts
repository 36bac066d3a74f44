import { EXIT } from '../../domain/contract';
import type { Config } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { createLogger } from '../../worker/logging';
import { stopSignal } from '../../worker/stop-signal';
import { localSettings } from '../../worker/temporal-settings';
import { runWorker } from '../../worker/worker';
import { createConsole } from '../console';
import { portAnswers, startDevServer, temporalAnswers, type DevServer } from '../dev-server';
import { requiredConfig, type LoadedConfig } from '../session';
import { findTemporalCli } from '../temporal-cli';
import { isAlive, readUpRecord, removeUpRecord, stopLeftBehind, writeUpRecord } from '../up-record';

export interface UpOptions {
  config?: string;
  port?: number;
  uiPort?: number;
  json?: boolean;
}

/** Server and worker in one process tree, until a signal or until the server ends. */
export async function run(options: UpOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await requiredConfig(options.config);
  const { config } = local;
  const place = placeOf(config, options);
  await refuseWhenRunning(config, place, (text) => screen.say(text));
  const program = await findTemporalCli();

  const { signal, release } = stopSignal((name) => screen.say(`${name}: stopping the worker, then the server`));
  try {
    const server = await startDevServer({ program, stateDir: config.stateDir, namespace: config.temporal.namespace, ...place });
    try {
      await writeUpRecord(config.stateDir, { pid: process.pid, serverPid: server.pid, address: server.address, uiUrl: server.uiUrl });
      return await workUntilStopped(local, server, signal, () => {
        const { address, uiUrl, logFile } = server;
        screen.out(`Temporal listens on ${address}, its log is ${logFile}`);
        screen.out(`Temporal UI: ${uiUrl}`);
        screen.out(`The worker is ready for ${Object.keys(config.clusters).join(', ') || 'no cluster'}. Ctrl-C stops all.`);
        if (address !== config.temporal.address) screen.out(`In other shells: export TEMPORAL_ADDRESS=${address}`);
        if (options.json) screen.json({ address, uiUrl, pid: process.pid, serverPid: server.pid });
      });
    } finally {
      await server.stop();
      await removeUpRecord(config.stateDir);
      if (signal.aborted) screen.say('Stopped. The database is kept for the next `drydock up`.');
    }
  } finally {
    release();
  }
}

async function workUntilStopped(local: LoadedConfig, server: DevServer, signal: AbortSignal, onReady: () => void): Promise<number> {
  const serverEnded = new AbortController();
  void server.ended.then(() => serverEnded.abort());
  await runWorker(local.config, {
    configPath: local.path,
    logger: createLogger({ readable: process.stderr.isTTY }),
    signal: AbortSignal.any([signal, serverEnded.signal]),
    settings: localSettings(local.config.temporal, server.address, server.uiUrl),
    onReady,
  });
  if (signal.aborted) return EXIT.ok;
  throw new DrydockError('TemporalUnavailable', 'the Temporal development server has ended by itself', { remedy: `see ${server.logFile}, then start again: the database is kept` });
}

interface Place {
  ip: string;
  port: number;
  uiPort: number;
}

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

/** The configuration's address counts, so that the other commands find the server; it must be on this machine. */
function placeOf(config: Config, options: UpOptions): Place {
  const address = process.env.TEMPORAL_ADDRESS || config.temporal.address;
  const { hostname: host, port } = new URL(`tcp://${address}`);
  if (!LOOPBACK.includes(host)) {
    const isNamedOutside = Boolean(process.env.TEMPORAL_ADDRESS);
    throw new DrydockError('InvalidInput', `${isNamedOutside ? 'TEMPORAL_ADDRESS' : 'temporal.address'} is ${address}, which is not this machine, so \`drydock up\` has no server to start`, {
      remedy: `use \`drydock worker\` with that server, or ${isNamedOutside ? 'unset TEMPORAL_ADDRESS' : 'set temporal.address to 127.0.0.1:7233'}`,
    });
  }
  const uiPort = Number(new URL(config.temporal.uiUrl).port || '8233');
  return { ip: '127.0.0.1', port: options.port ?? Number(port || '7233'), uiPort: options.uiPort ?? uiPort };
}

async function refuseWhenRunning(config: Config, place: Place, say: (text: string) => void): Promise<void> {
  const record = await readUpRecord(config.stateDir);
  if (record && record.pid !== process.pid) {
    if (isAlive(record.pid) && (await portAnswers(record.address))) {
      throw new DrydockError('Refused', `\`drydock up\` is running already (process ${record.pid}): Temporal on ${record.address}, UI ${record.uiUrl}`, {
        remedy: `use it as it is, or stop it first: by Ctrl-C in its terminal, or by \`kill ${record.pid}\``,
      });
    }
    if (await stopLeftBehind(config.stateDir, record)) say(`Stopped a Temporal server that a killed \`drydock up\` had left (process ${record.serverPid})`);
    await removeUpRecord(config.stateDir);
  }
  const address = `${place.ip}:${place.port}`;
  if (await temporalAnswers(address, config.temporal.namespace)) {
    throw new DrydockError('Refused', `a Temporal server answers at ${address} already`, { remedy: 'use it with `drydock worker`, or choose other ports with --port and --ui-port' });
  }
  for (const [option, port] of [['--port', place.port], ['--ui-port', place.uiPort]] as const) {
    if (await portAnswers(`${place.ip}:${port}`)) throw new DrydockError('Refused', `something else listens on ${place.ip}:${port}`, { remedy: `choose another port with ${option}` });
  }
}
