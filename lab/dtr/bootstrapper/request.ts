import type { KeyPair } from '../common/pki';
import type { UcpAccess } from '../common/ucp';
import type { Command, Flags } from './flags';

/** What phase 1 hands to phase 2 in the environment of `dtr-phase2`, which is removed at its end. */
export interface PhaseTwoRequest {
  command: Command;
  version: string;
  org: string;
  flags: Flags;
  /** The replica that phase 2 works on. */
  replicaId: string;
  /** Swarm host name of the node it runs on. */
  node: string;
  /** A member of the cluster that already runs (join, remove, backup). */
  existingReplicaId?: string;
  /** Volumes that phase 2 needs beside the engine's socket. */
  binds?: string[];
  /** All replicas that UCP knows, by id, with their nodes. */
  replicas: Record<string, string>;
  /** UCP's address and the credentials under which the services ask it about users. */
  ucp: UcpAccess;
  /** Web certificate given by flags. */
  web?: KeyPair & { ca: string };
}

/** Where phase 2 sees a path given with `--dtr-storage-volume`. */
export const STORAGE_PATH_MOUNT = '/storage-volume';

export const REQUEST_ENV = 'DTR_PHASE2_REQUEST';
