/** What the rooms of the lab agree on: names, addresses, files. Nothing outside lab/, test/ and bench/ may import this. */
import { createHash } from 'node:crypto';
import path from 'node:path';

export const DTR_VERSIONS = ['2.9.4', '2.5.3'] as const;
export type DtrVersion = (typeof DTR_VERSIONS)[number];

export const NODES = ['node-1', 'node-2', 'node-3'] as const;
export type NodeName = (typeof NODES)[number];

export interface LabNames {
  /** Name of this lab; several may run side by side (environment DRYDOCK_LAB, default `lab`). */
  name: string;
  /** Docker network on the outer engine, and the label value `drydock.lab=<name>` on everything the lab creates there. */
  network: string;
  subnet: string;
  gateway: string;
  /** Fixed addresses. The load balancer carries DTR's external URL. */
  addresses: Record<NodeName | 'ucp' | 'lb', string>;
  /** Outer container of a host. */
  container(host: NodeName | 'ucp' | 'lb'): string;
  /** Outer volume of the directory that plays the NFS export; mounted at NFS_MOUNT in every node. */
  nfsVolume: string;
  /** Certificates, keys, passwords, known_hosts, drydock.yaml, vault; all 0700/0600. */
  stateDir: string;
}

/** In the nodes: the exported directory. `nfs://nas.lab/srv/nfs/dtr` is played by a local-driver volume bound to it. */
export const NFS_MOUNT = '/srv/nfs';
export const NFS_URL = 'nfs://nas.lab/srv/nfs/dtr';
export const UCP_PORT = 443;
export const ADMIN = 'admin';

export function labNames(name = process.env.DRYDOCK_LAB ?? 'lab'): LabNames {
  // One /24 a lab: 240 for the usual one, the others by hash, so that two labs on one machine do not meet.
  const third = name === 'lab' ? 240 : 1 + (createHash('sha256').update(name).digest()[0]! % 200);
  const prefix = `172.31.${third}`;
  return {
    name,
    network: `drydock-${name}`,
    subnet: `${prefix}.0/24`,
    gateway: `${prefix}.1`,
    addresses: { ucp: `${prefix}.10`, 'node-1': `${prefix}.11`, 'node-2': `${prefix}.12`, 'node-3': `${prefix}.13`, lb: `${prefix}.20` },
    container: (host) => `drydock-${name}-${host}`,
    nfsVolume: `drydock-${name}-nfs`,
    stateDir: path.resolve(__dirname, '..', '.drydock', 'lab', name),
  };
}

/** `docker` up to 2.7, `mirantis` from 2.8 on. */
export function imageOrg(version: string): string {
  const minor = Number(version.split('.')[1]);
  return minor >= 8 ? 'mirantis' : 'docker';
}

export function bootstrapperImage(version: string): string {
  return `${imageOrg(version)}/dtr:${version}`;
}

/** Components of a replica; the container is `dtr-<component>-<replica id>`, the image `<org>/dtr-<component>:<version>`. */
export const COMPONENTS = ['api', 'garant', 'jobrunner', 'nginx', 'notary-server', 'notary-signer', 'registry', 'rethinkdb', 'scanningstore'] as const;
