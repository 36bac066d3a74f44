import { Fatal } from '../common/log';
import { storesBlobsById } from '../common/tables';
import type { Command } from './flags';
import { openArchive } from './input';
import { checkReplicaId, connect, ensureOverlay, newReplicaId, nodeOf, pickNode, portsOf, runPhase2, verifyPorts, webCertificate, type Cluster, type Tool } from './phase1';
import { prompt } from './prompt';
import { COMPONENTS, containerName, isVolumeOf } from './replica';
import { STORAGE_PATH_MOUNT } from './request';

type Run = (tool: Tool) => Promise<void>;

export const RUN: Record<Exclude<Command, 'images'>, Run> = {
  install,
  join,
  remove,
  destroy,
  backup,
  restore,
  reconfigure,
  'emergency-repair': emergencyRepair,
};

const caBind = (id: string): string => `dtr-ca-${id}:/ca`;

async function install(tool: Tool): Promise<void> {
  tool.log.info('Beginning Docker Trusted Registry installation');
  await deploy(tool, 'install');
}

async function deploy(tool: Tool, command: 'install' | 'restore', input?: AsyncIterable<Buffer>): Promise<void> {
  const { flags, log } = tool;
  const replicaId = newReplicaId(flags);
  checkStorageFlags(tool);
  const web = webCertificate(flags);
  const ports = portsOf(flags);
  const cluster = await connect(tool);
  if (cluster.replicas.has(replicaId)) throw new Fatal(`There is already a replica with the ID ${replicaId}: destroy it first`);
  if (cluster.replicas.size > 0) log.warn('There are replicas of another DTR in this cluster. If they belong to a DTR that is being restored, destroy them first');
  const node = pickNode(cluster, flags['ucp-node'] || undefined);
  await verifyPorts(cluster, node, [ports.http, ports.https], log);
  await ensureOverlay(tool, cluster.docker);
  await runPhase2(tool, cluster, { command, replicaId, node, binds: [caBind(replicaId), ...storagePath(tool)], ...(web ? { web } : {}) }, input);
  log.info(command === 'install' ? 'Installation is complete' : 'Restore complete.');
  log.info(`Replica ID is set to: ${replicaId}`);
  log.info(`You can use flag '--existing-replica-id ${replicaId}' when joining other replicas to your Docker Trusted Registry Cluster`);
}

/** A path given for the images is prepared by phase 2. */
function storagePath({ flags }: Tool): string[] {
  const given = flags['dtr-storage-volume'] ?? '';
  return given.startsWith('/') ? [`${given}:${STORAGE_PATH_MOUNT}`] : [];
}

function checkStorageFlags({ flags, version }: Tool): void {
  const given = ['dtr-use-default-storage', 'dtr-storage-volume', 'nfs-storage-url'].filter((name) => flags[name] !== undefined && flags[name] !== '');
  if (given.length > 1) throw new Fatal(`Only one of ${given.map((name) => `--${name}`).join(', ')} can be set`);
  const url = flags['nfs-storage-url'];
  if (url && !/^nfs:\/\/[^/]+\/.+/.test(url)) throw new Fatal(`Invalid NFS storage URL ${url} on DTR ${version}: expected nfs://<ip|hostname>/<mountpoint>`);
}

async function restore(tool: Tool): Promise<void> {
  const { flags, version, log } = tool;
  const named = ['dtr-use-default-storage', 'dtr-storage-volume', 'nfs-storage-url'].some((name) => flags[name] !== undefined && flags[name] !== '');
  if (storesBlobsById(version) && !named) throw new Fatal('Must explicitly set one of --dtr-use-default-storage, --dtr-storage-volume, or --nfs-storage-url');
  if (process.stdin.isTTY) throw new Fatal('Failed to require no tty: Terminal mode detected. This command does not work in terminal mode. Please remove -t from the docker run command\'s arguments.');
  log.info('Beginning Docker Trusted Registry restore');
  const archive = await openArchive(process.stdin as AsyncIterable<Buffer>, version);
  await deploy(tool, 'restore', archive);
}

async function join(tool: Tool): Promise<void> {
  const { flags, log } = tool;
  log.info('Beginning Docker Trusted Registry replica join');
  const replicaId = newReplicaId(flags);
  const ports = portsOf(flags);
  const cluster = await connect(tool);
  const existing = await existingReplica(tool, cluster);
  if (cluster.replicas.has(replicaId)) throw new Fatal(`There is already a replica with the ID ${replicaId}`);
  const node = pickNode(cluster, flags['ucp-node'] || undefined);
  await verifyPorts(cluster, node, [ports.http, ports.https], log);
  await runPhase2(tool, cluster, { command: 'join', replicaId, node, existingReplicaId: existing, binds: [caBind(replicaId)] });
  log.info('Join is complete');
  log.info(`Replica ID is set to: ${replicaId}`);
  const count = cluster.replicas.size + 1;
  log.info(`There are currently ${count} replicas in your Docker Trusted Registry cluster`);
  if (count % 2 === 0) log.warn(`You currently have an even number of replicas which can impact cluster availability. It is recommended that you have 3, 5 or 7 replicas in your cluster`);
}

/** `--existing-replica-id`, asked for when it is missing and somebody is there. */
async function existingReplica(tool: Tool, cluster: Cluster): Promise<string> {
  const given = tool.flags['existing-replica-id'];
  const id = checkReplicaId(given ? given : await prompt('existing-replica-id'));
  nodeOf(cluster, id);
  return id;
}

async function remove(tool: Tool): Promise<void> {
  const { flags, log } = tool;
  const cluster = await connect(tool);
  const existing = await existingReplica(tool, cluster);
  const wanted = (flags['replica-ids'] ? flags['replica-ids'] : await prompt('replica-ids')).split(',').map((id) => checkReplicaId(id.trim()));
  if (wanted.includes(existing)) throw new Fatal(`The existing replica ${existing} cannot be removed through itself: give another healthy replica with --existing-replica-id`);
  // The store forgets the members first: volumes that are deleted before would take the majority with them.
  await runPhase2(tool, cluster, { command: 'remove', replicaId: existing, node: nodeOf(cluster, existing), existingReplicaId: existing });
  for (const id of wanted) {
    const node = cluster.replicas.get(id);
    if (node === undefined) log.warn(`No container of the replica ${id} was found: only the cluster's knowledge of it is removed`);
    else if (!cluster.nodes.some((candidate) => candidate.hostname === node && candidate.ready)) log.warn(`The node ${node} of the replica ${id} cannot be reached: its containers and volumes remain there`);
    else await runPhase2(tool, cluster, { command: 'destroy', replicaId: id, node });
    log.info(`Replica removed: ${id}`);
  }
}

async function destroy(tool: Tool): Promise<void> {
  const { flags } = tool;
  const id = checkReplicaId(flags['replica-id'] ? flags['replica-id'] : await prompt('replica-id'));
  const cluster = await connect(tool);
  const node = cluster.replicas.get(id) ?? (await nodeOfVolumes(cluster, id));
  if (node === undefined) throw new Fatal(`Couldn't find containers or volumes of the replica ${id}`);
  await runPhase2(tool, cluster, { command: 'destroy', replicaId: id, node });
}

/** A half-destroyed replica has volumes only. */
async function nodeOfVolumes(cluster: Cluster, id: string): Promise<string | undefined> {
  for (const volume of await cluster.docker.volumes()) {
    const [node, name] = volume.Name.split('/', 2);
    if (node && name && isVolumeOf(name, id)) return node;
  }
  return undefined;
}

async function backup(tool: Tool): Promise<void> {
  if (process.stdout.isTTY || process.stdin.isTTY) {
    throw new Fatal("Failed to require no tty: Terminal mode detected. This command does not work in terminal mode. Please remove -t from the docker run command's arguments.");
  }
  const cluster = await connect(tool);
  const id = await existingReplica(tool, cluster);
  const offline = tool.flags['offline-backup'] === 'true';
  await runPhase2(tool, cluster, { command: 'backup', replicaId: id, node: nodeOf(cluster, id), existingReplicaId: id, ...(offline ? { binds: [`dtr-rethink-${id}:/rethink:ro`] } : {}) });
  tool.log.info('Backup complete.');
}

async function reconfigure(tool: Tool): Promise<void> {
  const { log } = tool;
  checkStorageFlags(tool);
  const web = webCertificate(tool.flags);
  const cluster = await connect(tool);
  const existing = await existingReplica(tool, cluster);
  log.info('Reconfiguring Docker Trusted Registry');
  // The named replica takes the new settings down into the store; the others then follow it.
  const others = [...cluster.replicas.keys()].filter((id) => id !== existing);
  for (const id of [existing, ...others]) {
    await runPhase2(tool, cluster, { command: 'reconfigure', replicaId: id, node: nodeOf(cluster, id), existingReplicaId: existing, binds: storagePath(tool), ...(web ? { web } : {}) });
  }
  log.info('Reconfigure is complete');
}

async function emergencyRepair(tool: Tool): Promise<void> {
  const { flags, log } = tool;
  const cluster = await connect(tool);
  const existing = await existingReplica(tool, cluster);
  if (flags.yes !== 'true') {
    const answer = await prompt('This removes all other replicas. Type yes to go on');
    if (answer !== 'yes') throw new Fatal('Emergency repair was not confirmed');
  }
  log.info(`Running emergency repair on replica ${existing}`);
  for (const [id, node] of cluster.replicas) {
    if (id === existing || !cluster.nodes.some((candidate) => candidate.hostname === node && candidate.ready)) continue;
    log.info(`Removing the containers of replica ${id}`);
    for (const component of COMPONENTS) await cluster.docker.remove(`${node}/${containerName(component, id)}`);
    if (flags.prune !== 'true') continue;
    for (const volume of await cluster.docker.volumes()) {
      if (volume.Name.startsWith(`${node}/`) && isVolumeOf(volume.Name.slice(node.length + 1), id)) await cluster.docker.removeVolume(volume.Name);
    }
  }
  await runPhase2(tool, cluster, { command: 'emergency-repair', replicaId: existing, node: nodeOf(cluster, existing) });
  log.info('Emergency repair is complete');
}
