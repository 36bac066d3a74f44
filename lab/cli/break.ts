/** `lab break`, `cut` and `rebuild`: the accidents that Drydock is there for. */
import { type NodeName, NODES } from '../contract';
import { dtrImages } from '../dtr/images';
import { BASE_IMAGE } from '../hosts/image';
import { allDone, LabError } from '../hosts/process';
import { oneAtATime } from '../hosts/machine-lock';
import { ensureSeed } from '../hosts/seed';
import { requireUp, type Lab } from './context';

export const BREAKS = ['replica', 'node', 'majority', 'volume', 'metadata'] as const;
export type Break = (typeof BREAKS)[number];

/** What was done, for scripts. */
export interface Broken {
  broken: Break;
  nodes: NodeName[];
}

/** Breaks something; `nodes` narrows where. Throws LabError where there is nothing of that kind to break. */
export async function breakLab(lab: Lab, what: Break, nodes: NodeName[]): Promise<Broken> {
  const state = await requireUp(lab);
  const hostStates = await allDone(NODES.map((node) => lab.hosts.hostState(node)));
  // On hosts that are up: nothing can be broken inside one that is off.
  const withReplica = NODES.filter((node, index) => state.replicaIds[node] !== undefined && hostStates[index] === 'running');
  const or = (fallback: NodeName[]): NodeName[] => (nodes.length > 0 ? nodes : fallback);
  const chosen: Record<Break, NodeName[]> = {
    replica: or(withReplica.slice(-1)),
    node: or([NODES[1]]),
    majority: or([NODES[1], NODES[2]]),
    volume: or(state.storage === 'nfs' ? withReplica.slice(0, 1) : withReplica),
    metadata: or(withReplica),
  };
  const targets = chosen[what];
  if (targets.length === 0) throw new LabError('no host that is up has a replica');
  await lab.steps.run(`breaking ${what} on ${targets.join(', ')}`, async () => {
    await allDone(targets.map((node) => breakOn(lab, what, node)));
  });
  return { broken: what, nodes: targets };
}

async function breakOn(lab: Lab, what: Break, node: NodeName): Promise<void> {
  switch (what) {
    case 'node':
    case 'majority':
      return lab.hosts.kill(node);
    case 'replica':
      return killReplica(lab, node);
    case 'volume':
      return emptyVolumes(lab, node, 'dtr-registry-');
    case 'metadata':
      return emptyVolumes(lab, node, 'dtr-rethink-');
  }
}

async function killReplica(lab: Lab, node: NodeName): Promise<void> {
  const running = await lab.hosts.running(node, 'dtr-');
  if (running.length === 0) throw new LabError(`no replica runs on ${node}`);
  // Noted first: a killed container looks like one that a person stopped.
  await lab.hosts.noteToStart(node, running);
  await lab.hosts.exec(node, ['docker', 'kill', ...running]);
}

/** Kills what uses the volumes and deletes all that they hold; of an NFS volume that is the exported directory. */
async function emptyVolumes(lab: Lab, node: NodeName, prefix: string): Promise<void> {
  const volumes = (await ids(lab, node, ['volume', 'ls', '--quiet', '--filter', `name=${prefix}`])).filter((name) => name.startsWith(prefix));
  if (volumes.length === 0) throw new LabError(`there is no volume ${prefix}<replica id> on ${node}`);
  for (const volume of volumes) {
    // The registry itself stays up, as it does when a disk loses files; a store cannot go on without its own.
    if (prefix === 'dtr-rethink-') {
      const users = await ids(lab, node, ['ps', '--quiet', '--filter', `volume=${volume}`]);
      if (users.length > 0) await lab.hosts.exec(node, ['docker', 'kill', ...users]);
    }
    // Through a container: a volume with mount options is mounted only while one uses it.
    await lab.hosts.exec(node, ['docker', 'run', '--rm', '--network', 'none', '--log-driver', 'none', '--volume', `${volume}:/volume`, BASE_IMAGE, 'find', '/volume', '-mindepth', '1', '-delete']);
  }
}

async function ids(lab: Lab, node: NodeName, args: string[]): Promise<string[]> {
  const { stdout } = await lab.hosts.exec(node, ['docker', ...args]);
  return stdout.split('\n').filter((line) => line !== '');
}

/** A host under the same name and address with an empty disk, a new SSH host key and (unless `images` is false) DTR's images loaded. */
export async function rebuild(lab: Lab, node: NodeName, options: { images: boolean; trust: boolean }): Promise<{ node: NodeName; hostKey: string }> {
  const state = await requireUp(lab);
  const images = state.dtr === undefined ? [] : dtrImages(state.dtr);
  await lab.steps.run(`rebuilding ${node}`, async (log) => {
    const seed = options.images ? await oneAtATime('images', () => ensureSeed(state.dtr ?? 'bare', [BASE_IMAGE, ...images], log, lab.signal), lab.signal) : undefined;
    await lab.hosts.remove(node);
    await lab.state.renewHostKey(lab.names, node, lab.signal);
    await lab.hosts.create(node, seed);
    await lab.hosts.waitEngine(node);
    await lab.swarm.waitMissed(node);
    await lab.swarm.join(node);
    await lab.swarm.waitReady(node);
    if (seed !== undefined) await lab.swarm.waitOverlay(node, BASE_IMAGE);
    if (options.trust) await lab.state.trustHostKeys(lab.names);
  });
  return { node, hostKey: await lab.state.hostKey(node) };
}
