import { Docker } from '../common/docker';
import { Fatal, messageOf, type Log } from '../common/log';
import { replicaSettings } from '../common/settings';
import { Store } from '../common/store';
import { storesBlobsById, tablesOf } from '../common/tables';
import { rebuildIndex } from '../services/registry/blob-store';
import { dump, LAST_BACKUP_KEY, load } from './archive';
import { joinStore, startStore, unhealthyReplicas, waitForService, waitForStore } from './cluster';
import { dumpOffline } from './offline';
import { createVolumes, removeContainers, removeVolumes, startComponent, startServices, type ReplicaSpec } from './replica';
import type { PhaseTwoRequest } from './request';
import { applyFlags, initialise, internalCertificates, portsFrom, prepareExport, storageFrom, storedStorage } from './setup';

/** Phase 2: on the node itself, with its engine's socket and a place on the overlay. */
export async function runRequest(request: PhaseTwoRequest, log: Log): Promise<void> {
  const docker = Docker.local();
  switch (request.command) {
    case 'install':
    case 'restore':
      return deploy(docker, request, log);
    case 'join':
      return join(docker, request, log);
    case 'remove':
      return forget(request, log);
    case 'destroy':
      return destroy(docker, request, log);
    case 'backup':
      return backup(docker, request, log);
    case 'reconfigure':
      return reconfigure(docker, request, log);
    case 'emergency-repair':
      return repair(docker, request, log);
    case 'images':
      throw new Fatal('images has no phase 2');
  }
}

async function deploy(docker: Docker, request: PhaseTwoRequest, log: Log): Promise<void> {
  log.info('Connecting to network: dtr-ol');
  log.info('Waiting for phase2 container to be known to the Docker daemon');
  const spec: ReplicaSpec = { version: request.version, org: request.org, id: request.replicaId, ...portsFrom(request.flags), storage: storageFrom(request.flags) };
  await prepareExport(spec.storage);
  log.info('Setting up replica volumes...');
  const { hadDatabase } = await createVolumes(docker, spec);
  log.info('Creating initial CA certificates');
  await internalCertificates(spec.id);
  const store = await startStore(docker, spec, hadDatabase, log);
  if (request.command === 'restore') await loadArchive(store, request, log);
  await initialise(store, request, spec, log);
  await startServices(docker, spec, log);
  await waitForService(spec.id, log);
  await register(store, request, log);
}

async function loadArchive(store: Store, request: PhaseTwoRequest, log: Log): Promise<void> {
  log.info('Restoring the database from the backup');
  // A volume that was there before may hold the rows of an earlier attempt.
  for (const table of tablesOf(request.version)) await store.clear(table);
  try {
    const counts = await load(store, process.stdin, request.version);
    await rebuildIndex(store);
    const rows = [...counts.values()].reduce((sum, count) => sum + count, 0);
    log.info(`Restored ${rows} rows of ${counts.size} tables`);
  } catch (error) {
    throw new Fatal(`Couldn't restore the database: ${messageOf(error)}`);
  }
}

async function register(store: Store, request: PhaseTwoRequest, log: Log): Promise<void> {
  log.info('Verifying auth settings...');
  await store.setProperties({ ucpHost: new URL(request.ucp.url).host });
  log.info('Successfully registered dtr with UCP');
}

async function join(docker: Docker, request: PhaseTwoRequest, log: Log): Promise<void> {
  const existing = Store.at(request.existingReplicaId ?? '');
  log.info('Connecting to network: dtr-ol');
  const unhealthy = await unhealthyReplicas(existing);
  if (unhealthy.length > 0 && request.flags['unsafe-join'] !== 'true') {
    throw new Fatal(
      'This DTR has replicas that are not working correctly. Joining a replica to an unhealthy cluster may cause split brain and loss of data. Repair or remove the unhealthy replicas first. ' +
        `To ignore this warning, use --unsafe-join. Error: Unhealthy replicas: ${unhealthy.map((r) => `${r.id}; reasons: ${r.reason}`).join(', ')}`,
    );
  }
  const storage = await storedStorage(existing);
  if (storage.nfsHost === '' && storage.storageVolume === '') {
    log.warn('This cluster keeps its images on a local volume: several replicas need shared storage');
  }
  const spec: ReplicaSpec = { version: request.version, org: request.org, id: request.replicaId, ...portsFrom(request.flags), storage };
  log.info('Setting up replica volumes...');
  await createVolumes(docker, spec);
  await internalCertificates(spec.id);
  log.info('Transferring data to new replica');
  const store = await joinStore(docker, existing, spec);
  log.info('Database successfully copied');
  await store.setProperties({ replicaSettings: { ...(await replicaSettings(store)), [spec.id]: { HTTPPort: spec.httpPort, HTTPSPort: spec.httpsPort, node: request.node } } });
  await startServices(docker, spec, log);
  await waitForService(spec.id, log);
}

/** Makes the cluster forget replicas: members of the store, settings, health. Their nodes are another phase's business. */
async function forget(request: PhaseTwoRequest, log: Log): Promise<void> {
  const store = Store.at(request.existingReplicaId ?? '');
  const wanted = (request.flags['replica-ids'] ?? '').split(',').map((id) => id.trim());
  const members = await store.etcd.members();
  for (const id of wanted) {
    log.info(`Removing replica ${id} from the cluster`);
    // A member that never started has no name yet, only its address.
    const member = members.find((candidate) => candidate.name === id || candidate.peerUrl.includes(`dtr-rethinkdb-${id}.`));
    if (member) await store.etcd.removeMember(member.id);
    await store.etcd.delete(`/dtr/replicas/${id}`);
  }
  const left = Object.entries(await replicaSettings(store)).filter(([id]) => !wanted.includes(id));
  await store.setProperties({ replicaSettings: Object.fromEntries(left) });
}

async function destroy(docker: Docker, request: PhaseTwoRequest, log: Log): Promise<void> {
  log.info('Force removing replica');
  log.info('Stopping containers');
  log.info('Removing containers');
  await removeContainers(docker, request.replicaId);
  log.info('Removing volumes');
  await removeVolumes(docker, request.replicaId);
  log.info('Replica removed.');
}

async function backup(docker: Docker, request: PhaseTwoRequest, log: Log): Promise<void> {
  const { flags, version, replicaId } = request;
  const without = [...(flags['ignore-events-table'] === 'true' ? ['events'] : []), ...(flags['ignore-scan-data'] === 'true' ? ['scanned_images', 'scanned_layers'] : [])];
  if (flags['offline-backup'] === 'true') {
    await dumpOffline(docker, replicaId, process.stdout, { version, offline: true, without }, log);
    return;
  }
  const store = Store.at(replicaId);
  // A replica without its majority must not write an archive of nothing.
  await store.property('replicaSettings').catch((error: unknown) => {
    throw new Fatal(`Failed to back up: the database of replica ${replicaId} is not available: ${messageOf(error)}`);
  });
  await dump(store, process.stdout, { version, offline: false, without }, log);
  await store.etcd.put(LAST_BACKUP_KEY, String(Date.now()));
}

async function reconfigure(docker: Docker, request: PhaseTwoRequest, log: Log): Promise<void> {
  const store = Store.at(request.existingReplicaId ?? '');
  const before = await storedStorage(store);
  if (request.replicaId === request.existingReplicaId) {
    await applyFlags(store, request, before);
    const after = await storedStorage(store);
    if (storesBlobsById(request.version) && JSON.stringify(before) !== JSON.stringify(after)) await changeBackend(store, request, log);
  }
  const storage = await storedStorage(store);
  await prepareExport(storage);
  const known = (await replicaSettings(store))[request.replicaId];
  const asked = portsFrom(request.flags, known);
  const spec: ReplicaSpec = { version: request.version, org: request.org, id: request.replicaId, ...asked, storage };
  await store.setProperties({ replicaSettings: { ...(await replicaSettings(store)), [spec.id]: { HTTPPort: spec.httpPort, HTTPSPort: spec.httpsPort, node: request.node } } });
  await createVolumes(docker, spec);
  await startServices(docker, spec, log);
  await waitForService(spec.id, log);
}

/** Another storage back end means a new metadata store for images, unless the person says that the images were moved (dtr.md 1.9). */
async function changeBackend(store: Store, request: PhaseTwoRequest, log: Log): Promise<void> {
  if (request.flags['storage-migrated'] === 'true') {
    log.info('The `--storage-migrated` flag is set. Not erasing tags.');
    return;
  }
  log.warn('The storage backend has changed: initializing a new metadata store. Erasing tags.');
  for (const table of ['tags', 'manifests', 'blob_links', 'blobs']) await store.clear(table);
}

async function repair(docker: Docker, request: PhaseTwoRequest, log: Log): Promise<void> {
  const id = request.replicaId;
  const spec: ReplicaSpec = { version: request.version, org: request.org, id, ...portsFrom(request.flags), storage: { storageVolume: '', nfsHost: '', nfsPath: '', nfsOptions: '' } };
  log.info('Making this replica the only member of the database');
  await startComponent(docker, spec, 'rethinkdb', { mode: 'repair' });
  await waitForStore(Store.at(id, 2000), log);
  // Without the flag it stays what it has become; with it every start would throw the others out again.
  await startComponent(docker, spec, 'rethinkdb', { mode: 'new' });
  const store = Store.at(id);
  await waitForStore(store, log);
  const settings = await replicaSettings(store);
  for (const other of Object.keys(settings)) if (other !== id) await store.etcd.delete(`/dtr/replicas/${other}`);
  const own = settings[id] ?? { HTTPPort: spec.httpPort, HTTPSPort: spec.httpsPort, node: request.node };
  await store.setProperties({ replicaSettings: { [id]: own } });
  const full: ReplicaSpec = { ...spec, httpPort: own.HTTPPort, httpsPort: own.HTTPSPort, storage: await storedStorage(store) };
  await startServices(docker, full, log);
  await waitForService(id, log);
}
