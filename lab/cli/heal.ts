/** `lab heal`: whatever was killed or cut off comes back with all that ran on it. What was destroyed stays so. */
import { type NodeName, NODES } from '../contract';
import { allDone, sleep, waitFor } from '../hosts/process';
import { waitHealthy } from './dtr';
import type { Lab } from './context';

/** An engine gives this code to containers that ran when it died; those that someone stopped have another. */
const DIED_WITH_ENGINE = 255;

/** Returns the nodes that something was done to. */
export async function healLab(lab: Lab): Promise<NodeName[]> {
  const { dtr, replicaIds } = await lab.state.read();
  const touched: NodeName[] = [];
  for (const node of NODES) {
    const state = await lab.hosts.hostState(node);
    if (state === 'stopped') {
      await lab.steps.run(`starting ${node}`, async () => {
        await lab.swarm.waitMissed(node);
        await lab.hosts.start(node);
      });
      touched.push(node);
    } else if (state === 'cut off') {
      await lab.steps.run(`connecting ${node}`, () => lab.hosts.reconnect(node));
      touched.push(node);
    } else if (state === 'missing') {
      lab.steps.say(`${node} is missing: \`npm run lab -- rebuild ${node}\` makes it anew, empty`);
    }
  }
  const changed = await bringBack(lab, touched);
  if (dtr === undefined || changed.length === 0) return changed;
  const replicas = await replicaNodes(lab, changed.filter((node) => replicaIds[node] !== undefined));
  const healthy = (): Promise<unknown> => lab.steps.run('replicas healthy', () => allDone(replicas.map((node) => waitHealthy(lab, node))));
  try {
    await healthy();
  } catch (error) {
    if (touched.length === 0) throw error;
    // Seen now and then after a kill: a node is unknown to the others' gossip until its engine starts once more.
    await lab.steps.run(`restarting ${touched.join(', ')}`, () => allDone(touched.map((node) => lab.hosts.restart(node))));
    await bringBack(lab, touched);
    await healthy();
  }
  return changed;
}

/** Waits for the engines of `touched` and starts the dead containers of all hosts in the Swarm. Returns the nodes where anything was done. */
async function bringBack(lab: Lab, touched: NodeName[]): Promise<NodeName[]> {
  const members = (await lab.swarm.nodes()).map(({ hostname }) => hostname);
  if (touched.length > 0) {
    await lab.steps.run('engines and Swarm', async () => {
      await allDone(touched.map((node) => lab.hosts.waitEngine(node)));
      await allDone(touched.filter((node) => members.includes(node)).map((node) => lab.swarm.waitReady(node)));
    });
  }
  const running = await runningHosts(lab);
  for (const node of running) {
    // What ran there needs the overlay, which a node has only as a member.
    if (!members.includes(node)) lab.steps.say(`${node} was taken out of the Swarm: \`npm run lab -- rebuild ${node}\` makes it a new member`);
  }
  const present = running.filter((node) => members.includes(node));
  const counts = await lab.steps.run('containers that ran before', (log) => allDone(present.map((node) => startDead(lab, node, log))));
  return NODES.filter((node) => touched.includes(node) || (counts[present.indexOf(node)] ?? 0) > 0);
}

async function runningHosts(lab: Lab): Promise<NodeName[]> {
  const states = await allDone(NODES.map((node) => lab.hosts.hostState(node)));
  return NODES.filter((_, index) => states[index] === 'running');
}

/** Those of the nodes that hold a whole replica; a destroyed one cannot become healthy. */
async function replicaNodes(lab: Lab, nodes: NodeName[]): Promise<NodeName[]> {
  const lists = await allDone(nodes.map((node) => lab.hosts.exec(node, ['docker', 'ps', '--quiet', '--filter', 'name=dtr-nginx-'])));
  return nodes.filter((_, index) => lists[index]!.stdout !== '');
}

/** Starts what died with its engine or was broken by `lab break`, again and again until it runs: services wait for each other. */
async function startDead(lab: Lab, node: NodeName, log: (line: string) => void): Promise<number> {
  const dead = await deadContainers(lab, node);
  if (dead.length === 0) return 0;
  log(`${node}: ${dead.length} containers`);
  await waitFor(`the containers of ${node}`, 120, async () => {
    const { stdout } = await lab.hosts.exec(node, ['docker', 'inspect', '--format', '{{.Id}} {{.State.Running}}', ...dead]);
    const down = stdout.split('\n').filter((line) => line.endsWith(' false')).map((line) => line.split(' ')[0]!);
    if (down.length === 0) return true;
    await lab.hosts.exec(node, ['docker', 'start', ...down], [0, 1]);
    await sleep(500, lab.signal);
    return false;
  }, lab.signal); // prettier-ignore
  return dead.length;
}

/** Ids of containers that ended with their engine or that were noted; those that a person stopped are not among them. */
async function deadContainers(lab: Lab, node: NodeName): Promise<string[]> {
  const noted = await lab.hosts.takeNoted(node);
  const { stdout: ids } = await lab.hosts.exec(node, ['docker', 'ps', '--all', '--quiet', '--filter', 'status=exited', '--filter', 'status=dead']);
  if (ids === '') return [];
  const { stdout } = await lab.hosts.exec(node, ['docker', 'inspect', '--format', '{{.Id}} {{.State.ExitCode}} {{.Name}}', ...ids.split('\n')]);
  return stdout
    .split('\n')
    .map((line) => line.split(' ') as [string, string, string])
    // A bootstrapper that died half-way is not started again, as no restart policy would.
    .filter(([, , name]) => !name.startsWith('/dtr-phase2'))
    .filter(([id, code]) => Number(code) === DIED_WITH_ENGINE || noted.includes(id))
    .map(([id]) => id);
}
