import type { Docker } from '../common/docker';
import { Etcd } from '../common/etcd';
import { fetchUrl, sleep } from '../common/http';
import { Fatal, messageOf, type Log } from '../common/log';
import { peerUrl, Store, storeEndpoint } from '../common/store';
import { containerName, startComponent, type ReplicaSpec } from './replica';

const STORE_WAIT_MS = 60_000;
const SERVICE_WAIT_MS = 90_000;

/** First member of a new cluster. With a volume that holds a database already, that becomes a cluster of one. */
export async function startStore(docker: Docker, spec: ReplicaSpec, hadDatabase: boolean, log: Log): Promise<Store> {
  log.info('Bootstrapping rethink...');
  log.info(`Creating ${containerName('rethinkdb', spec.id)}...`);
  if (hadDatabase) {
    await startComponent(docker, spec, 'rethinkdb', { mode: 'repair' });
    await waitForStore(Store.at(spec.id, 2000), log);
  }
  await startComponent(docker, spec, 'rethinkdb', { mode: 'new' });
  const store = Store.at(spec.id);
  await waitForStore(store, log);
  return store;
}

/** Adds a member to the store, starts it and waits until it answers with the cluster's data. */
export async function joinStore(docker: Docker, existing: Store, spec: ReplicaSpec): Promise<Store> {
  const own = peerUrl(spec.id);
  await retry(async () => {
    const members = await existing.etcd.members();
    // An earlier try may have got this far.
    if (!members.some((member) => member.peerUrl === own)) await existing.etcd.addMember(own);
  });
  const members = (await existing.etcd.members()).map((member) => ({ name: member.peerUrl === own ? spec.id : member.name, peerUrl: member.peerUrl }));
  await startComponent(docker, spec, 'rethinkdb', { mode: 'join', members });
  const store = Store.at(spec.id);
  await retry(() => store.property('replicaSettings'));
  return store;
}

export async function waitForStore(store: Store, log: Log): Promise<void> {
  log.info('Establishing connection with Rethinkdb');
  await retry(() => store.etcd.get('/dtr'));
}

/** Shortly after a change of members the store answers "unhealthy cluster"; after a start nothing at all. */
async function retry<T>(work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + STORE_WAIT_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw new Fatal(`Couldn't connect to the database: ${messageOf(error)}`);
      await sleep(250);
    }
  }
}

/** Members of the store that do not answer, with the vendor's reason. */
export async function unhealthyReplicas(existing: Store): Promise<{ id: string; reason: string }[]> {
  const members = await existing.etcd.members().catch((error: unknown) => {
    throw new Fatal(`Couldn't connect to the database of the existing replica: ${messageOf(error)}`);
  });
  const checked = await Promise.all(
    members.map(async ({ name, peerUrl: peer }) => {
      const id = name === '' ? (/dtr-rethinkdb-([0-9a-f]{12})/.exec(peer)?.[1] ?? peer) : name;
      const etcd = new Etcd(storeEndpoint(id), 3000);
      try {
        const { leader } = await etcd.status();
        return leader === null ? [{ id, reason: 'Rethink replica is currently in state: waiting_for_primary' }] : [];
      } catch {
        return [{ id, reason: 'Rethink replica is currently in state: disconnected' }];
      } finally {
        etcd.close();
      }
    }),
  );
  return checked.flat();
}

/** Until the replica's own front answers that all parts are well. */
export async function waitForService(id: string, log: Log): Promise<void> {
  log.info('Waiting for the replica to be healthy');
  const deadline = Date.now() + SERVICE_WAIT_MS;
  let last = 'no answer';
  while (Date.now() < deadline) {
    try {
      const answer = await fetchUrl(`https://dtr-nginx-${id}.dtr-ol/_ping`, { insecure: true, timeoutMs: 5000 });
      if (answer.status === 200) return;
      last = answer.body.toString().slice(0, 300);
    } catch (error) {
      last = messageOf(error);
    }
    await sleep(250);
  }
  throw new Fatal(`The replica ${id} did not become healthy: ${last}`);
}
