/** Hosts that do not answer: out of the Swarm, and watched, since two halves of one cluster must never meet. */
import { DrydockError } from '../../domain/errors';
import type { RestoreDecisions } from '../../domain/plan';
import type { NodeDetails } from '../../adapters/docker/engine';
import type { Cluster } from '../cluster';
import { readyNames } from './replicas';
import { unfinishedFences } from './unfinished';

/** Removes the members of that name that do not answer. One that answers again stays: a rebuilt host has the same name. */
export async function fenceNode(cluster: Cluster, { node }: { node: string }): Promise<void> {
  const engine = await cluster.engine();
  for (const member of await engine.nodes()) if (member.hostname === node && member.state !== 'ready') await engine.removeNode(member.id);
}

/**
 * The last look before the point of no return. Throws Refused naming the hosts that people said to be off and that answer all the same.
 */
export async function refuseReturned(cluster: Cluster, decisions: RestoreDecisions): Promise<void> {
  const back = await answering(cluster, decisions.fences, decisions);
  if (back.length === 0) return;
  throw new DrydockError('Refused', `${back.join(', ')} ${back.length > 1 ? 'were' : 'was'} to be off, and answers: nothing was destroyed`, {
    remedy: 'switch it off and start the restore again; if it is to be used, start the restore again and it will be planned with it',
  });
}

/** Hosts to be fenced that answer over SSH although the Swarm has lost them: sentences for the plan. */
export async function warnOfAnswering(cluster: Cluster, decisions: RestoreDecisions): Promise<string[]> {
  const back = await answering(cluster, decisions.fences, decisions);
  return back.map((node) => `${node} is lost to the Swarm, but answers over SSH: it must be switched off before "destroy" is approved`);
}

/** Fenced hosts that can be reached again, although nothing of the restored cluster stands on them. Those of an earlier attempt count, too. */
export async function reportReturned(cluster: Cluster, decisions: RestoreDecisions): Promise<{ warnings: string[] }> {
  const fenced = [...new Set([...decisions.fences, ...(await unfinishedFences(cluster))])].sort();
  const back = await answering(cluster, fenced, decisions);
  return {
    warnings: back.map((node) => `${node} was taken out of the Swarm and is back: its old replica must not run beside the restored cluster; stop its containers, and join it only after its volumes are removed`),
  };
}

/** Which of these hosts answer, in the Swarm or over SSH. Where a rebuilt host of the same name is used, only a second one counts. */
async function answering(cluster: Cluster, names: string[], decisions: RestoreDecisions): Promise<string[]> {
  if (names.length === 0) return [];
  const used = new Set([decisions.first, ...decisions.joins].map(({ node }) => node));
  const nodes = await (await cluster.engine()).nodes();
  const answers = await Promise.all(names.map(async (name) => {
    if (used.has(name)) return membersOf(nodes, name) > 1;
    return readyNames(nodes).has(name) || answersSsh(cluster, name);
  }));
  return names.filter((_, at) => answers[at]);
}

function membersOf(nodes: NodeDetails[], name: string): number {
  return nodes.filter(({ hostname, state }) => hostname === name && state === 'ready').length;
}

async function answersSsh(cluster: Cluster, node: string): Promise<boolean> {
  if (cluster.config.hosts[node] === undefined) return false;
  try {
    await (await cluster.host(node)).exec(['true'], { root: false });
    return true;
  } catch (error) {
    cluster.signal?.throwIfAborted();
    // Another key or a refused login is an answer, too; but not from the host that we knew.
    if (error instanceof DrydockError) return false;
    throw error;
  }
}
