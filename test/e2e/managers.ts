/** Hosts of a lab as managers of its Swarm, and how one that is lost is got rid of. */
import assert from 'node:assert/strict';
import type { NodeName } from '../../lab/contract';
import type { DtrLab } from '../lab/dtr-lab';
import { until } from '../workflows/fixtures/harness';

/** A command as root on the manager where UCP is; throws what it says when it fails. */
function onManager(dtr: DtrLab, command: string): string {
  const { code, stdout, stderr } = dtr.on('ucp', command);
  if (code !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}

export async function promote(dtr: DtrLab, ...nodes: NodeName[]): Promise<void> {
  onManager(dtr, `docker node promote ${nodes.join(' ')}`);
  await until(async () => onManager(dtr, "docker node ls --format '{{.ManagerStatus}}'").match(/Reachable/g)?.length === nodes.length || undefined, 'more managers');
}

export function demote(dtr: DtrLab, node: NodeName): void {
  onManager(dtr, `docker node demote ${node}`);
}

/** Runs the remedy of a refused restore as it stands there: nothing else would do for a manager that is down beside a rebuilt host of its name. */
export function demoteAsTold(dtr: DtrLab, node: NodeName, refusal: string): void {
  const [command] = /docker node demote \S+(?= on a manager that is left)/.exec(refusal) ?? [];
  assert.ok(command !== undefined, refusal);
  assert.throws(() => onManager(dtr, `docker node demote ${node}`), /ambiguous/);
  assert.throws(() => onManager(dtr, `docker node rm --force ${command.split(' ').at(-1)}`), /must be demoted/);
  onManager(dtr, command);
}
