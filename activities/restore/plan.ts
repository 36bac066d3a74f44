/** Stage 0: the plan, and everything that speaks against it. Changes nothing. */
import { createHash } from 'node:crypto';
import { sudoLogWarnings } from '../../adapters/host/sudo-log';
import type { RestoreTarget } from '../../domain/contract';
import { DrydockError } from '../../domain/errors';
import type { Manifest } from '../../domain/manifest';
import { volumeOf } from '../../domain/manifest-images';
import { canonicalJson, type Diagnosis, type RestoreDecisions, type RestorePlan } from '../../domain/plan';
import { firstOf } from '../../domain/shown';
import { decideRestore } from '../../domain/restore-plan';
import type { Cluster } from '../cluster';
import { checkSignature } from '../signature';
import { readBackup, refuseUnknown } from './backup';
import { checkHosts } from './check-hosts';
import { checkJoinVolume, checkStorage, type Delta } from './check-storage';
import { warnOfAnswering } from './fence';
import { requireAdministrator } from './login';
import type { Progress } from './progress';
import { proveBackup, type Proven } from './prove-backup';
import { Refusals } from './refusals';
import { findReplicas, type Replicas } from './replicas';
import { unfinishedRestores } from './unfinished';
import { warnOfRecords } from './where-recorded';

/** A plan is part of a history, and is read at night. */
const SHOWN_ACCEPTED = 20;
const SHOWN_OWNERS = 50;

export interface PlanRequest {
  operation: string;
  backup: string;
  targets: RestoreTarget[];
  force: boolean;
  acceptMissingOwners: boolean;
  /** Go on although the manifest has no good signature. */
  acceptUnsigned: boolean;
  diagnosis: Diagnosis;
}

/** Throws Refused with all reasons at once, or the one reason there is; AuthRejected and NotFound (no such backup, no seal) at once. */
export async function planRestore(cluster: Cluster, request: PlanRequest, progress: Progress): Promise<RestorePlan> {
  const refusals = new Refusals(cluster.signal);
  const ucp = await cluster.ucp();
  await requireAdministrator(cluster);
  const { manifest, sha256, content } = await readBackup(cluster, request.backup);
  const replicas = await findReplicas(await cluster.engine());
  // What an unfinished restore left may look healthy and still not be what was backed up.
  const unfinished = (await unfinishedRestores(cluster)).length > 0;
  const { decisions: made, findings, warnings } = decideRestore({
    cluster: cluster.name,
    manifest,
    manifestSha256: sha256,
    diagnosis: request.diagnosis,
    targets: request.targets,
    members: replicas.nodes.map(({ id, hostname, state, role }) => ({ id, hostname, ready: state === 'ready', manager: role === 'manager' })),
    holdings: replicas.found.map(({ id, node }) => ({ id, node })),
    bootstrapperImage: bootstrapperImage(cluster, manifest),
    ucpUrl: ucp.url,
    vulnerabilityDatabaseFile: cluster.config.policy.vulnerabilityDatabaseFile !== undefined,
    force: request.force || unfinished,
    acceptMissingOwners: request.acceptMissingOwners,
    acceptUnsigned: request.acceptUnsigned,
  });
  const decisions: RestoreDecisions = cluster.vaultName === cluster.config.vault ? made : { ...made, vault: cluster.vaultName };
  refusals.add(...findings);
  await refusals.attempt(async () => checkVersions(manifest, decisions, replicas));
  await refusals.attempt(async () => refuseUnknown(manifest));
  const signature = await judgeSignature(cluster, manifest, content, request.acceptUnsigned, refusals);
  const proven = await proveBackup(cluster, manifest, refusals, progress);
  const more = await checkUcp(cluster, manifest, { owners: proven.owners, acceptMissingOwners: request.acceptMissingOwners }, refusals);
  progress.update({ phase: 'looking at the hosts' });
  const hosts = await checkHosts(cluster, request.operation, decisions, replicas, refusals);
  for (const [node, each] of hosts) more.push(...((await refusals.attempt(() => sudoLogWarnings(each, cluster.config.hosts[node]?.user ?? 'root'))) ?? []));
  const host = hosts.get(decisions.first.node);
  const nothing: Delta = { bytesToMove: proven.blobs.reduce((total, { size }) => total + size, 0), bytesKept: 0, blobs: proven.blobs.length, blobsToMove: proven.blobs.length };
  const look = { cluster, operation: request.operation, decisions, owner: volumeOf(manifest.images)?.owner ?? { uid: 0, gid: 0 } };
  const { blobsToMove: _moved, ...delta } = host === undefined ? nothing : await checkStorage(look, host, proven.blobs, refusals);
  for (const replica of decisions.joins) {
    const joining = hosts.get(replica.node);
    if (joining) await refusals.attempt(() => checkJoinVolume(look, replica, joining));
  }
  const awake = [...(await warnOfAnswering(cluster, decisions)), ...(await warnOfRecords(cluster, decisions))];
  refusals.throwIfAny();
  return {
    decisions,
    digest: digestOf(decisions),
    estimates: { ...delta, tags: proven.tags, repositories: proven.repositories },
    proof: [...signature.proof, ...proven.proof],
    warnings: [
      ...(unfinished ? ['an earlier restore did not come to its end, so a cluster that looks healthy is restored all the same'] : []),
      ...(await cluster.engineNotes()), ...warnings, ...awake, ...more, ...signature.warnings,
      ...firstOf(proven.accepted.map((what) => `stays as it was: ${what}`), SHOWN_ACCEPTED),
    ],
    diagnosis: request.diagnosis,
    sealedAt: manifest.sealedAt,
  };
}

/** SHA-256 (hex) of what an approval is for. */
export function digestOf(decisions: RestoreDecisions): string {
  return createHash('sha256').update(canonicalJson(decisions)).digest('hex');
}

/** Where images come from may have changed since the backup; their version must not. */
function bootstrapperImage(cluster: Cluster, { product }: Manifest): string {
  const { image } = cluster.config.bootstrapper;
  return image === undefined ? product.bootstrapperImage : `${image}:${product.version}`;
}

function checkVersions({ product: { version } }: Manifest, { bootstrapperImage: image }: RestoreDecisions, { found }: Replicas): void {
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  if (tag !== version) {
    throw new DrydockError('VersionMismatch', `the bootstrapper ${image} is not of version ${version}, that of the backup`, { remedy: `use the image with the tag ${version}` });
  }
  for (const { id, node, containers } of found) {
    const registry = containers.find(({ component }) => component === 'registry' || component === 'rethinkdb');
    const installed = /:v?(\d+\.\d+\.\d+[^/:@]*)$/.exec(registry?.image ?? '')?.[1];
    if (installed === undefined || installed === version) continue;
    throw new DrydockError('VersionMismatch', `DTR ${installed} is installed (replica ${id} on ${node}), the backup is of version ${version}`, {
      remedy: `restore a backup of version ${installed}, or destroy this DTR by hand before you restore version ${version}`,
    });
  }
}

/** No good signature is a refusal where one is asked for, or with `acceptUnsigned` a warning that people see before they agree. */
async function judgeSignature(cluster: Cluster, { backupId }: Manifest, content: Buffer, acceptUnsigned: boolean, refusals: Refusals): Promise<{ proof: string[]; warnings: string[] }> {
  const check = () => checkSignature(cluster, backupId, content);
  if (!acceptUnsigned) {
    const sentence = await refusals.attempt(check);
    return { proof: sentence === undefined ? [] : [sentence], warnings: [] };
  }
  try {
    return { proof: [await check()], warnings: [] };
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    return { proof: [], warnings: [`accepted without a good signature: ${error.message}`] };
  }
}

/** Same users? Owners are compared by id: a UCP that was itself restored has another cluster id, but the same accounts. */
async function checkUcp(cluster: Cluster, manifest: Manifest, { owners, acceptMissingOwners }: { owners: Proven['owners']; acceptMissingOwners: boolean }, refusals: Refusals): Promise<string[]> {
  const warnings: string[] = [];
  await refusals.attempt(async () => {
    const known = new Set((await (await cluster.ucp()).accounts()).map(({ id }) => id));
    const missing = owners.filter(({ id }) => !known.has(id)).map(({ name }) => name).sort();
    if (missing.length === 0) return;
    const what = `owners of repositories do not exist on this UCP: ${missing.slice(0, SHOWN_OWNERS).join(', ')}${missing.length > SHOWN_OWNERS ? ` and ${missing.length - SHOWN_OWNERS} more` : ''}`;
    if (acceptMissingOwners) warnings.push(`${what}; nobody can manage their repositories`);
    else refusals.add({ what, remedy: 'restore UCP first (accounts are compared by id), or say acceptMissingOwners' });
  });
  await refusals.attempt(async () => {
    const { clusterId } = await (await cluster.engine()).info();
    if (clusterId !== undefined && manifest.product.ucp.clusterId !== '' && clusterId !== manifest.product.ucp.clusterId) {
      warnings.push(`this UCP has the cluster id ${clusterId}, the backup was made under ${manifest.product.ucp.clusterId}`);
    }
  });
  return warnings;
}
