/** A site as a reader of the README would have it: a lab with one replica, and `drydock up` on its configuration. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeOperation, type OperationSummary } from '../../client/operations';
import { openSession, requiredConfig, type Session } from '../../client/session';
import type { Gate } from '../../domain/contract';
import { openLab, type Lab } from '../../lab/cli/context';
import { pushToLab } from '../../lab/cli/push';
import { up } from '../../lab/cli/up';
import { start, type Running } from '../client/fixtures/drydock';
import { temporalCli } from '../helpers/temporal';
import { freePort } from '../helpers/free-port';

export interface Site {
  lab: Lab;
  session: Session;
  uiUrl: string;
  /** For shells: DRYDOCK_CONFIG, TEMPORAL_ADDRESS, and `temporal` on PATH. */
  env: NodeJS.ProcessEnv;
  /** Waits until the run stands at this gate. Throws when it ends before. */
  gate(workflowId: string, name: string): Promise<Gate>;
  /** Waits until the run is over. */
  end(workflowId: string): Promise<OperationSummary>;
  stop(): Promise<void>;
}

const WAIT_MS = 300_000;

/** Brings up lab (named, so that another may stand beside it), images, server and worker. `stop` removes all of it. */
export async function startSite(name: string): Promise<Site> {
  const lab = openLab(undefined, name);
  const parts: { drydock?: Running; session?: Session } = {};
  const stop = async (): Promise<void> => {
    await parts.session?.close();
    parts.drydock?.child.kill('SIGTERM');
    await parts.drydock?.finished;
    await lab.hosts.removeAll();
    await lab.state.remove();
  };
  try {
    await up(lab, { dtr: '2.9.4', replicas: 1, storage: 'local' });
    await pushToLab(lab, { repos: 3, tags: 2, mib: 4, seed: 1, client: 'direct' });
    const config = lab.state.file('drydock.yaml');
    const [port, uiPort] = [await freePort(), await freePort()];
    const address = `127.0.0.1:${port}`;
    const uiUrl = `http://127.0.0.1:${uiPort}`;
    parts.drydock = start(['up', '--config', config, '--port', String(port), '--ui-port', String(uiPort)], { TEMPORAL_CLI_PATH: temporalCli() });
    await parts.drydock.said('The worker is ready for lab');
    const session = await openSession(await requiredConfig(config), { address, namespace: 'default', taskQueue: 'drydock', uiUrl, connection: {} });
    parts.session = session;
    const look = (workflowId: string): Promise<OperationSummary> => describeOperation(session, workflowId);
    return {
      lab,
      session,
      uiUrl,
      env: { ...process.env, DRYDOCK_CONFIG: config, TEMPORAL_ADDRESS: address, PATH: `${path.dirname(temporalCli())}${path.delimiter}${process.env.PATH}`, NO_COLOR: '1' },
      gate: (workflowId, gate) => waitForGate(() => look(workflowId), gate),
      end: (workflowId) => poll(async () => {
        const run = await look(workflowId);
        return run.endedAt === null ? undefined : run;
      }, `the end of ${workflowId}`),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function waitForGate(look: () => Promise<OperationSummary>, name: string): Promise<Gate> {
  return await poll(async () => {
    const run = await look();
    if (run.endedAt !== null) throw new Error(`${run.workflowId} ended as ${run.status} before gate ${name}: ${run.error ?? ''}`);
    return run.gate?.name === name ? run.gate : undefined;
  }, `gate ${name}`);
}

async function poll<T>(probe: () => Promise<T | undefined>, what: string): Promise<T> {
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; await sleep(500)) {
    const found = await probe();
    if (found !== undefined) return found;
  }
  throw new Error(`${what} did not come within ${WAIT_MS / 1000} s`);
}
