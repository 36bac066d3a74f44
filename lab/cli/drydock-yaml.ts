/** Writes the `drydock.yaml` that backs this lab up: cluster `lab`, a vault below the state directory, secrets by file. */
import { mkdir } from 'node:fs/promises';
import { stringify } from 'yaml';
import { ADMIN, NODES } from '../contract';
import { SUDO_NODE, sshUser } from '../hosts/state';
import type { Lab } from './context';

export async function writeDrydockYaml(lab: Lab): Promise<string> {
  const { state, names, ucp } = lab;
  const secret = (...parts: string[]): string => `file:${state.file(...parts)}`;
  await mkdir(state.file('vault'), { recursive: true, mode: 0o700 });
  const hosts = NODES.map((node): [string, object] => [
    node,
    {
      address: names.addresses[node],
      port: 22,
      user: sshUser(node),
      key: secret('ssh', 'id_ed25519'),
      ...(node === SUDO_NODE ? { sudoPassword: secret('passwords', 'ops') } : {}),
    },
  ]);
  const config = {
    stateDir: state.file('drydock'),
    vaults: { lab: { directory: state.file('vault') } },
    clusters: {
      lab: {
        ucp: { urls: [ucp.url], caFile: ucp.caFile, username: ADMIN, password: secret('passwords', ADMIN) },
        dtr: { url: `https://${names.addresses.lb}`, caFile: state.file('dtr-ca.pem') },
        ssh: { knownHosts: state.file('ssh', 'known_hosts') },
        hosts: Object.fromEntries(hosts),
        vault: 'lab',
        encryption: { passphrase: secret('passwords', 'vault-passphrase') },
        approvers: ['operator', 'second'],
      },
    },
  };
  return await state.write('drydock.yaml', stringify(config));
}
