import type { Dtr } from '../../adapters/dtr/dtr';
import { expiryNotice } from '../../adapters/openpgp/key-faults';
import { expiringRecipients } from '../../adapters/openpgp/keyring';
import type { Ucp } from '../../adapters/ucp/ucp';
import { isDeletion } from '../../domain/deletions';
import { sudoLogWarnings } from '../../adapters/host/sudo-log';
import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';
import type { BackupFacts, Step } from '../contract';
import { helperImage } from '../helper-container';
import { pullImages } from '../pull-images';
import { Findings } from './findings';
import { refuseTooLong } from './manifest-room';
import { ignoreFlags } from './metadata-flags';
import { bootstrapperOf, chooseReplica, findReplicas, lostReplicas, registryNow, versionOf, type ReplicaFound } from './replicas';
import { installSettings } from './settings';
import { findVolume, inspectVolume, refuseEmptyVolume, storageOf } from './volume';

/** Less room than this in a vault is no room at all; what a backup really needs is known, and checked, when the blobs are listed. */
const MIN_FREE_BYTES = 16 * 1024 * 1024;

/** Step 2: looks at everything that a backup relies on and changes nothing but a probe in the vault. */
export async function checkBackup(cluster: Cluster, { operation }: Step): Promise<BackupFacts> {
  const ucp = await cluster.ucp();
  if (!(await ucp.isAdmin())) {
    throw new DrydockError('NotPermitted', `${cluster.config.ucp.username} is no administrator of UCP at ${ucp.url}`, { remedy: 'use the login of an administrator: the vendor\'s backup command needs one' });
  }
  const findings = new Findings();
  const warnings: string[] = [];
  const recipients = await findings.attempt(() => cluster.encryptionKeys());
  if (recipients) warnings.push(...(await expiringRecipients(recipients)));
  await findings.attempt(() => cluster.decryptionKeys());
  const signer = await findings.attempt(() => cluster.signingKey());
  const notice = signer && (await expiryNotice(signer, 'sign'));
  if (notice) warnings.push(notice);
  await findings.attempt(() => cluster.trustedSigners());
  // After the keys: nothing is written for keys that would open nothing.
  await checkVault(cluster, findings);
  warnings.push(...signingWarnings(cluster));
  const registry = await lookAtRegistry(cluster, findings, warnings);
  const engine = await findings.attempt(async () => {
    const opened = await cluster.engine();
    return { opened, info: await opened.info() };
  });
  warnings.push(...(await cluster.engineNotes()));
  if (engine && !engine.info.isUcp) findings.add(`the client bundle leads to a plain Docker Engine (${engine.info.serverVersion}), not to UCP`, 'use a client bundle of this UCP');
  if (engine?.info.isUcp) await findings.attempt(() => refuseOtherUcp(ucp, engine.info.clusterId));
  const replicas = engine && (await findings.attempt(() => findReplicas(engine.opened, registry?.settings)));
  if (replicas?.length === 0) findings.add('UCP shows no replica of DTR (no container dtr-rethinkdb-<id>)', 'check that this is the right UCP');
  const replica = registry && replicas && replicas.length > 0 ? chooseReplica(replicas, registry.status, registry.now, findings, warnings) : undefined;
  const place = replica && (await findings.attempt(() => lookAtReplica(cluster, operation, replica, registry!.settings, findings, warnings)));
  const all = registry && replicas && [...replicas.map(plain), ...lostReplicas(replicas, registry.settings)];
  const installed = registry && installSettings(registry.settings, registry.fingerprint);
  if (recipients && all && installed && place) await findings.attempt(async () => refuseTooLong({ recipients: recipients.recipients, replicas: all, settings: installed, volume: place.volume, crons: (await (await cluster.dtr()).crons()).filter(({ action }) => isDeletion(action)) }));
  findings.throwIfAny();
  if (!installed || !engine || !all || !replica || !place) throw new Error('a check gave neither a result nor a finding');
  return {
    version: place.version,
    bootstrapperImage: place.image,
    replica: plain(replica),
    replicas: all,
    settings: installed,
    storage: place.storage,
    volume: place.volume,
    ucp: { url: ucp.url, clusterId: engine.info.clusterId ?? '', version: engine.info.serverVersion },
    vault: cluster.config.vault,
    warnings,
  };
}

/** What a restore would not take need not be made in silence. */
function signingWarnings({ config: { encryption } }: Cluster): string[] {
  if (encryption.signedBy.length === 0 || encryption.signingKey !== undefined) return [];
  return ['encryption.signedBy asks for signed manifests, and no encryption.signingKey is configured here: a restore takes this backup only with acceptUnsigned.'];
}

/** A bundle leads where it was made: with one of another UCP, the registry of one cluster would be read and the replicas of another be touched. */
async function refuseOtherUcp(ucp: Ucp, bundleId: string | undefined): Promise<void> {
  const id = await ucp.id();
  if (id === undefined || bundleId === undefined || id === bundleId) return;
  throw new DrydockError('Refused', `the client bundle is of another UCP (${bundleId}) than the one at ${ucp.url} (${id})`, { remedy: 'get a client bundle from this UCP, or leave ucp.bundle out: then it is fetched' });
}

function plain({ id, node, httpPort, httpsPort }: ReplicaFound): BackupFacts['replica'] {
  return { id, node, httpPort, httpsPort };
}

async function checkVault(cluster: Cluster, findings: Findings): Promise<void> {
  const { vault } = cluster;
  await findings.attempt(() => (findings.any ? cluster.refuseOtherVault() : checkKnown(cluster)));
  const free = await vault.freeBytes();
  if (free !== null && free < MIN_FREE_BYTES) findings.add(`the vault (${vault.description}) has ${free} bytes left`, 'make room there');
}

/** Makes `vault.json` in a vault that was never used here, and only there. Throws Refused for another vault than was used before. */
export async function checkKnown(cluster: Pick<Cluster, 'vault' | 'refuseOtherVault'>): Promise<void> {
  await cluster.refuseOtherVault();
  await cluster.vault.check();
  // Now it has an id, which is kept; and whoever exchanged it meanwhile is found.
  await cluster.refuseOtherVault();
}

interface RegistryFound {
  settings: Record<string, unknown>;
  status: Awaited<ReturnType<Dtr['clusterStatus']>>;
  fingerprint: string;
  now: number;
}

async function lookAtRegistry(cluster: Cluster, findings: Findings, warnings: string[]): Promise<RegistryFound | undefined> {
  const dtr = await cluster.dtr();
  const found = await findings.attempt(async () => {
    const settings = await dtr.settings();
    const status = await dtr.clusterStatus();
    return { settings, status, fingerprint: await dtr.certificateFingerprint(), now: await registryNow(dtr) };
  });
  if (!found) return undefined;
  for (const job of (await findings.attempt(() => dtr.jobs({ running: true }))) ?? []) {
    if (isDeletion(job.action) || /migration/.test(job.action)) warnings.push(`The job ${job.action} (${job.id}) runs now; the backup waits for it before it reads the metadata.`);
  }
  if (cluster.config.policy.freeze === 'readOnly' && !('readOnlyRegistry' in found.settings)) {
    findings.add('this version of DTR has no read-only mode that can be set by its API', 'use policy.freeze: crons');
  }
  return found;
}

interface Place {
  version: string;
  image: string;
  storage: BackupFacts['storage'];
  volume: BackupFacts['volume'];
}

/** The bootstrapper runs on the replica's node: what that has not got, UCP is asked to pull. */
async function provideImage(cluster: Cluster, image: string, node: string): Promise<void> {
  const engine = await cluster.engine();
  const onNode = node === '' ? undefined : node;
  if (await engine.hasImage(image, onNode)) return;
  const why = await pullImages(cluster, [image]);
  if (await engine.hasImage(image, onNode)) return;
  throw new DrydockError('Refused', `${node} has not the image ${image}${why === undefined ? '' : `, and ${why}`}`, { remedy: `docker pull or docker load it on ${node}` });
}

/** Version, bootstrapper and registry volume of the chosen replica. */
async function lookAtReplica(cluster: Cluster, operation: string, replica: ReplicaFound, settings: Record<string, unknown>, findings: Findings, warnings: string[]): Promise<Place> {
  const engine = await cluster.engine();
  const registry = await engine.container(`${replica.node === '' ? '' : `${replica.node}/`}dtr-registry-${replica.id}`);
  if (!registry.running) findings.add(`the registry of replica ${replica.id} does not run on ${replica.node}`, 'start its container');
  const version = versionOf(replica, registry);
  const image = bootstrapperOf(replica, version, cluster.config.bootstrapper.image);
  await findings.attempt(() => provideImage(cluster, image, replica.node));
  warnings.push(...ignoreFlags(cluster.config.bootstrapper, version).warnings);
  const { images } = cluster.config;
  if (typeof images === 'object') return { version, image, storage: storageOf(settings, images.external), volume: null };
  const found = await findVolume(engine, replica, registry);
  const helper = { operation, bootstrapperImage: image };
  if (images === 'docker' && cluster.config.policy.helperImage !== undefined) await findings.attempt(() => provideImage(cluster, helperImage(cluster, helper), replica.node));
  const place = await findings.attempt(() => cluster.images(found, helper));
  const volume = place && (await inspectVolume(cluster, found, place, findings));
  if (place && images === 'ssh') warnings.push(...((await findings.attempt(() => sudoLogWarnings(place.host, cluster.config.hosts[found.host]?.user ?? 'root'))) ?? []));
  if (place && volume) await findings.attempt(() => refuseEmptyVolume(cluster, volume, place));
  return { version, image, storage: storageOf(settings, undefined), volume: volume ?? null };
}
