/** What every lab command works with. */
import { type LabNames, labNames } from '../contract';
import { Hosts } from '../hosts/hosts';
import { LabError } from '../hosts/process';
import { type LabState, StateDir } from '../hosts/state';
import { Swarm } from '../hosts/swarm';
import { Steps } from './steps';
import { UcpClient } from './ucp-client';

export interface Lab {
  names: LabNames;
  state: StateDir;
  hosts: Hosts;
  swarm: Swarm;
  ucp: UcpClient;
  steps: Steps;
  signal: AbortSignal | undefined;
}

/** The lab of that name (default: DRYDOCK_LAB, else `lab`); the signal breaks long work off. */
export function openLab(signal?: AbortSignal, name?: string): Lab {
  const names = labNames(name);
  const state = new StateDir(names.stateDir);
  const hosts = new Hosts(names, state, signal);
  return { names, state, hosts, swarm: new Swarm(hosts, signal), ucp: new UcpClient(names, state, signal), steps: new Steps(), signal };
}

/** The state of a lab that stands; throws LabError with what to do where none does. */
export async function requireUp(lab: Lab): Promise<LabState> {
  if (!lab.state.exists || !(await lab.hosts.exists())) throw new LabError('the lab is not up; start it with `npm run lab -- up`');
  return await lab.state.read();
}
