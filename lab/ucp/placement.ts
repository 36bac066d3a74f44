/** Where a container goes: `constraint:` and `affinity:` among its environment, as in classic Swarm. */
import type { Engine } from './engines';
import { HttpError } from './http';

export interface Placement {
  /** Conditions on the node as `node==NAME` or `node!=NAME`; the name may hold `*`. */
  constraints: string[];
  /** Names of containers whose node is wanted. */
  beside: string[];
  /** The environment without them. */
  env: string[];
}

export function readPlacement(env: string[]): Placement {
  const placement: Placement = { constraints: [], beside: [], env: [] };
  for (const entry of env) {
    if (entry.startsWith('constraint:')) placement.constraints.push(entry.slice('constraint:'.length));
    else if (entry.startsWith('affinity:container==')) placement.beside.push(entry.slice('affinity:container=='.length));
    else if (!entry.startsWith('affinity:')) placement.env.push(entry);
  }
  return placement;
}

/** Picks one of the ready engines; a random worker where nothing narrows the choice. Throws 500 where none fits. */
export function place(engines: Engine[], placement: Placement, besideNode?: string): Engine {
  const named = placement.constraints.length > 0 || besideNode !== undefined;
  const fitting = engines.filter(
    (engine) =>
      engine.active &&
      // UCP keeps managers free unless one is asked for by name.
      (named || engine.worker) &&
      (besideNode === undefined || engine.name === besideNode) &&
      placement.constraints.every((constraint) => fits(engine, constraint)),
  );
  const chosen = fitting[Math.floor(Math.random() * fitting.length)];
  if (chosen === undefined) {
    throw new HttpError(500, `Unable to find a node that satisfies the following conditions \n[${placement.constraints.join(', ') || 'available node'}]`);
  }
  return chosen;
}

function fits(engine: Engine, constraint: string): boolean {
  const match = /^([^=!]+)(==|!=)~?(.*)$/.exec(constraint);
  if (match === null) throw new HttpError(500, `constraint ${constraint} is not understood`);
  const [, key, operator, value] = match as unknown as [string, string, string, string];
  const actual = key === 'node' ? engine.name : key === 'node.role' ? (engine.worker ? 'worker' : 'manager') : undefined;
  const pattern = new RegExp(`^${value.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`);
  return (actual !== undefined && pattern.test(actual)) === (operator === '==');
}
