/** The object that `lab up --json` prints: where everything is, files as absolute paths. */
import { ADMIN, NODES } from '../contract';
import { sshUser } from '../hosts/state';
import type { Lab } from './context';

export interface LabDescription {
  config: string;
  dtrUrl: string;
  dtrCa: string;
  ucpUrl: string;
  ucpCa: string;
  username: string;
  passwordFile: string;
  /** Directory of the administrator's client bundle. */
  bundle: string;
  nodes: { name: string; host: string; port: number; user: string; keyFile: string; replicaId?: string }[];
  knownHosts: string;
}

export async function describeLab({ state, names, ucp }: Lab): Promise<LabDescription> {
  const { replicaIds } = await state.read();
  return {
    config: state.file('drydock.yaml'),
    dtrUrl: `https://${names.addresses.lb}`,
    dtrCa: state.file('dtr-ca.pem'),
    ucpUrl: ucp.url,
    ucpCa: ucp.caFile,
    username: ADMIN,
    passwordFile: state.file('passwords', ADMIN),
    bundle: ucp.bundleDir,
    nodes: NODES.map((name) => {
      const replicaId = replicaIds[name];
      return { name, host: names.addresses[name], port: 22, user: sshUser(name), keyFile: state.file('ssh', 'id_ed25519'), ...(replicaId === undefined ? {} : { replicaId }) };
    }),
    knownHosts: state.file('ssh', 'known_hosts'),
  };
}
