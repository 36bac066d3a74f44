/** `lab up`: hosts, Swarm, UCP, and on them DTR, installed by the vendor's own commands as a person would type them. */
import { randomBytes } from 'node:crypto';
import { type DtrVersion, type NodeName, NODES } from '../contract';
import { buildDtrImages, dtrImages } from '../dtr/images';
import { HOSTS } from '../hosts/hosts';
import { BASE_IMAGE, buildLabImages } from '../hosts/image';
import { oneAtATime } from '../hosts/machine-lock';
import { allDone, LabError } from '../hosts/process';
import { ensureSeed } from '../hosts/seed';
import type { LabState } from '../hosts/state';
import type { Lab } from './context';
import { installDtr } from './dtr';
import { writeDrydockYaml } from './drydock-yaml';
import { healLab } from './heal';

export interface UpOptions {
  /** Absent: hosts, Swarm and UCP only. */
  dtr?: DtrVersion;
  replicas: number;
  storage: 'local' | 'nfs';
}

/** Brings the lab up, or finds it up as asked for. On failure and on Ctrl-C nothing is left. */
export async function up(lab: Lab, options: UpOptions): Promise<LabState> {
  const present = await standing(lab);
  if (present !== undefined) {
    if (present.dtr !== options.dtr || present.replicas !== options.replicas || present.storage !== options.storage) {
      throw new LabError(`the lab is up with ${describe(present)}; take it down first with \`npm run lab -- down\``);
    }
    await healLab(lab);
    return present;
  }
  await lab.hosts.removeAll();
  await lab.state.remove();
  try {
    return await build(lab, options);
  } catch (error) {
    await lab.steps.run('removing what was begun', async () => {
      await lab.hosts.removeAll();
      await lab.state.remove();
    });
    throw error;
  }
}

/** A lab that was brought up whole; what an `up` that was killed left counts as nothing. */
async function standing(lab: Lab): Promise<LabState | undefined> {
  if (!lab.state.exists || !(await lab.hosts.exists())) return undefined;
  const state = await lab.state.read();
  return state.complete ? state : undefined;
}

async function build(lab: Lab, { dtr, replicas, storage }: UpOptions): Promise<LabState> {
  const { steps, hosts, swarm, ucp, state, names, signal } = lab;
  const seed = await oneAtATime('images', () => imagesAndSeed(lab, dtr), signal);
  const labState: LabState = { ...(dtr === undefined ? {} : { dtr }), replicas, storage, replicaIds: replicaIds(replicas), complete: false };
  await steps.run('keys and certificates', () => state.makeKeys(names, signal));
  await state.save(labState);
  await steps.run('four hosts and the load balancer', async () => {
    await hosts.createNetwork();
    await allDone([...HOSTS.map((host) => hosts.create(host, host === 'ucp' ? undefined : seed)), hosts.createLoadBalancer()]);
    await allDone(HOSTS.map((host) => hosts.waitEngine(host)));
  });
  await steps.run('Swarm with the overlay dtr-ol', () => swarm.create());
  await steps.run('UCP and a client bundle', async () => {
    await ucp.waitUp();
    await ucp.fetchBundle();
  });
  if (dtr !== undefined) await installDtr(lab, { ...labState, dtr });
  await writeDrydockYaml(lab);
  await state.save({ ...labState, complete: true });
  return { ...labState, complete: true };
}

/** The name of the seed volume that holds what the hosts' engines start with. */
async function imagesAndSeed(lab: Lab, dtr: DtrVersion | undefined): Promise<string> {
  const { steps, signal } = lab;
  await steps.run('host image', (log) => buildLabImages(log, signal));
  const images = dtr === undefined ? [] : await dtrImageList(lab, dtr);
  return await steps.run('images for the hosts', (log) => ensureSeed(dtr ?? 'bare', [BASE_IMAGE, ...images], log, signal));
}

async function dtrImageList(lab: Lab, version: DtrVersion): Promise<string[]> {
  await lab.steps.run(`DTR ${version} images`, (log) => buildDtrImages(version, log, lab.signal));
  return dtrImages(version);
}

function replicaIds(count: number): Partial<Record<NodeName, string>> {
  return Object.fromEntries(NODES.slice(0, count).map((node) => [node, randomBytes(6).toString('hex')]));
}

function describe(state: LabState): string {
  if (state.dtr === undefined) return 'hosts, Swarm and UCP only (--bare)';
  return `DTR ${state.dtr}, ${state.replicas} replica(s) on ${state.storage} storage`;
}
