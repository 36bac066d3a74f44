import { Store } from '../common/store';
import { storesBlobsById } from '../common/tables';
import { Ucp } from '../common/ucp';

/** What a service of a replica knows from its environment. */
export interface Context {
  replicaId: string;
  version: string;
  /** Blobs by id (2.6+) or by digest. */
  blobsById: boolean;
  store: Store;
  /** UCP as the replica's own service account. */
  ucp(): Promise<Ucp>;
}

export const PORTS = { api: 8080, garant: 8080, registry: 5000, scanningstore: 8080 } as const;
export const STORAGE_ROOT = '/storage';

export function address(component: 'api' | 'garant' | 'registry' | 'scanningstore', replicaId: string): string {
  return `http://dtr-${component}-${replicaId}.dtr-ol:${PORTS[component]}`;
}

export function contextFrom(env: NodeJS.ProcessEnv): Context {
  const replicaId = env.DTR_REPLICA_ID ?? '';
  const version = env.DTR_VERSION ?? '';
  const store = Store.at(replicaId);
  return { replicaId, version, blobsById: storesBlobsById(version), store, ucp: cached(5000, () => serviceAccount(store)) };
}

async function serviceAccount(store: Store): Promise<Ucp> {
  const all = await store.properties();
  const text = (key: string): string => (typeof all[key] === 'string' ? all[key] : '');
  const cert = text('ucpClientCert');
  const ca = text('ucpCA');
  return new Ucp({ url: text('ucpURL'), insecure: all.ucpInsecureTLS === true, ...(ca ? { ca } : {}), ...(cert ? { cert, key: text('ucpClientKey') } : {}) });
}

/** Remembers a result for a while; a failure is not remembered. */
export function cached<T>(ms: number, work: () => Promise<T>): () => Promise<T> {
  let at = 0;
  let value: Promise<T> | undefined;
  return () => {
    if (value === undefined || Date.now() - at > ms) {
      at = Date.now();
      value = work();
      value.catch(() => (value = undefined));
    }
    return value;
  };
}
