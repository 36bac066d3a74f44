/** Stages 3 and 6: the vendor's `restore` and `join`. */
import { text } from 'node:stream/consumers';
import { DigestStream, readArtifact } from '../../adapters/vault/artifacts';
import { joinFlags, nfsFlagErasesTags, restoreFlags } from '../../domain/bootstrapper-flags';
import { DrydockError } from '../../domain/errors';
import type { Manifest, Replica } from '../../domain/manifest';
import type { RestoreDecisions } from '../../domain/plan';
import { fromEnvFile } from '../../domain/proxies';
import { runBootstrapper, settle, type LogLine } from '../bootstrapper';
import type { Cluster } from '../cluster';
import { readDecided } from './backup';
import { certificateEnv } from './certificate';
import { removeLeftovers } from './destroy';
import { pingAt } from './diagnose';
import type { Progress } from './progress';
import { findReplicas, partsOf } from './replicas';
import { hostOf } from './targets';
import { ensureVolume } from './volume';

/** What an attempt remembers once the bootstrapper has said that it is done. */
const RESTORED = 'restored';

interface StepInput {
  operation: string;
  decisions: RestoreDecisions;
}

/**
 * Loads the metadata into a fresh first replica. What a failed attempt left is removed first, but never the volume with the images. A replica
 * that answers is no proof: an attempt that was killed may have loaded half an archive. Only one that was seen to end well is left as it is.
 */
export async function restoreMetadata(cluster: Cluster, { operation, decisions }: StepInput, progress: Progress): Promise<void> {
  const { first } = decisions;
  await settle(cluster);
  const engine = await cluster.engine();
  const replicas = await findReplicas(engine);
  if (progress.remembered === RESTORED && (await pingAt(cluster, replicas, first)).healthy) return;
  const manifest = await readDecided(cluster, decisions);
  const env = { ...(await certificateEnv(cluster, manifest)), ...(await secretSettings(cluster, manifest)) };
  await removeLeftovers(engine, first.id, first.node, { keepImages: true });
  const archive = await readArtifact(cluster.vault, manifest.artifacts.metadata, await cluster.decryptionKeys(), {
    gunzip: true,
    ...(cluster.signal === undefined ? {} : { signal: cluster.signal }),
  });
  const total = manifest.artifacts.metadata.plainBytes;
  const counted = new DigestStream((bytes) => progress.update({ bytesDone: bytes, bytesTotal: total }));
  archive.on('error', (error) => counted.destroy(error)).pipe(counted);
  try {
    await runBootstrapper(cluster, {
      image: decisions.bootstrapperImage,
      command: 'restore',
      args: restoreFlags(decisions, manifest.product.settings),
      env,
      node: first.node,
      stdin: counted,
      operation,
      expect: 'Restore complete.',
      onLine: (line) => progress.update({ phase: phaseOf('restore', line) }),
    });
  } finally {
    counted.destroy();
    archive.destroy();
  }
  progress.remember(RESTORED);
}

/** Proxies with their credentials, for the bootstrapper's environment. */
async function secretSettings(cluster: Cluster, { artifacts: { settings } }: Manifest): Promise<Record<string, string>> {
  if (settings === undefined) return {};
  return fromEnvFile(await text(await readArtifact(cluster.vault, settings, await cluster.decryptionKeys(), { gunzip: true })));
}

/** Adds one replica to the restored cluster. Joined already is success; a half-joined one is removed from the cluster's mind first. */
export async function joinReplica(cluster: Cluster, { operation, decisions, replica }: StepInput & { replica: Replica }, progress: Progress): Promise<void> {
  await settle(cluster);
  const engine = await cluster.engine();
  const replicas = await findReplicas(engine);
  const parts = partsOf(replicas, replica.id, replica.node);
  const known = await knownToCluster(cluster, replica.id);
  if (known && parts.containers.length > 0 && (await pingAt(cluster, replicas, replica)).healthy) return;
  if (known || parts.containers.length > 0) await forget(cluster, { operation, decisions, replica });
  await removeLeftovers(engine, replica.id, replica.node, { keepImages: false });
  if (nfsFlagErasesTags(decisions) && decisions.storage.kind === 'nfs' && decisions.volume !== null) {
    // The cluster knows its storage by a volume's name then, and every node needs that volume.
    await ensureVolume(await hostOf(cluster, decisions.targets, replica.node), decisions.volume);
  }
  await runBootstrapper(cluster, {
    image: decisions.bootstrapperImage,
    command: 'join',
    args: joinFlags(decisions.first, replica),
    node: replica.node,
    operation,
    expect: 'Join is complete',
    onLine: (line) => progress.update({ phase: phaseOf('join', line) }),
  });
}

/** A replica that was destroyed but not removed is a ghost that blocks every join. */
async function forget(cluster: Cluster, { operation, decisions, replica }: StepInput & { replica: Replica }): Promise<void> {
  const args = ['--existing-replica-id', decisions.first.id, '--replica-ids', replica.id];
  await runBootstrapper(cluster, { image: decisions.bootstrapperImage, command: 'remove', args, node: decisions.first.node, operation });
}

async function knownToCluster(cluster: Cluster, id: string): Promise<boolean> {
  const { replicaSettings } = await (await cluster.dtr()).settings();
  if (typeof replicaSettings !== 'object' || replicaSettings === null) {
    throw new DrydockError('RegistryUnavailable', 'DTR does not say which replicas it has', { remedy: 'check the health of the first replica' });
  }
  return id in replicaSettings;
}

function phaseOf(command: string, { message }: LogLine): string {
  return `${command}: ${message.slice(0, 120)}`;
}
