/** From a backup, a diagnosis and targets to the decisions of a restore, with all that speaks against it. */
import { count } from './count';
import { storageFlagText } from './bootstrapper-flags';
import type { RestoreTarget } from './contract';
import type { Manifest, Replica } from './manifest';
import { listed } from './markdown';
import { storageOf, volumeOf } from './manifest-images';
import type { Diagnosis, RestoreDecisions, RestorePlan } from './plan';

/** One reason to refuse, with what to do about it. */
export interface Finding {
  what: string;
  remedy: string;
}

/** A Swarm member as UCP shows it; a rebuilt host stands there twice until its old entry is removed. */
export interface MemberNode {
  id?: string;
  hostname: string;
  ready: boolean;
  manager?: boolean;
}

export interface PlanInput {
  cluster: string;
  manifest: Manifest;
  manifestSha256: string;
  diagnosis: Diagnosis;
  targets: RestoreTarget[];
  members: MemberNode[];
  /** Replicas of which containers or volumes lie on nodes that can be reached. */
  holdings: { id: string; node: string }[];
  /** With tag. */
  bootstrapperImage: string;
  ucpUrl: string;
  vulnerabilityDatabaseFile: boolean;
  force: boolean;
  acceptMissingOwners: boolean;
  acceptUnsigned: boolean;
}

export interface Decided {
  decisions: RestoreDecisions;
  findings: Finding[];
  warnings: string[];
}

/** Pure: the same input gives the same decisions, and so the same digest. */
export function decideRestore(input: PlanInput): Decided {
  const { manifest, diagnosis, targets } = input;
  const findings: Finding[] = [...refuseHealthy(input), ...refuseTargets(input)];
  const replicas = manifest.product.replicas.map((replica) => placed(replica, targets));
  findings.push(...refuseLostNodes(input, replicas), ...refuseSharedNodes(replicas), ...refuseLostManagers(input));
  const first = replicas.find(({ id }) => id === manifest.product.replica) ?? replicas[0]!;
  const scanning = scanningOf(input);
  const volume = volumeOf(manifest.images);
  const decisions: RestoreDecisions = {
    cluster: input.cluster,
    backupId: manifest.backupId,
    manifestSha256: input.manifestSha256,
    version: manifest.product.version,
    bootstrapperImage: input.bootstrapperImage,
    ucpUrl: input.ucpUrl,
    externalUrl: manifest.product.settings.externalUrl,
    storage: storageOf(manifest.images),
    volume: volume === null ? null : { name: volume.name, driver: volume.driver, options: volume.options },
    first,
    joins: replicas.filter(({ id }) => id !== first.id),
    destroys: sorted(input.holdings),
    fences: fencesOf(input),
    targets: targets.map(({ replicaId, node, host, port, hostKey }) => ({ replicaId, node, ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }), ...(hostKey === undefined ? {} : { hostKey }) })),
    stops: sorted(diagnosis.replicas.filter(({ present, running, nodeReachable }) => present && running && nodeReachable).map(({ id, node }) => ({ id, node }))),
    scanning: scanning.mode,
    crons: manifest.product.crons.map((cron) => ({ ...cron, parameters: cron.parameters ?? null })).sort((a, b) => (a.action < b.action ? -1 : 1)),
    readOnly: manifest.product.settings.readOnlyRegistry,
    acceptMissingOwners: input.acceptMissingOwners,
    acceptUnsigned: input.acceptUnsigned,
    force: input.force,
  };
  return { decisions, findings, warnings: [...scanning.warnings, ...generalWarnings(input, decisions)] };
}

function placed(replica: Replica, targets: RestoreTarget[]): Replica {
  const target = targets.find(({ replicaId }) => replicaId === replica.id);
  return { ...replica, node: target?.node ?? replica.node };
}

function refuseHealthy({ diagnosis, force }: PlanInput): Finding[] {
  if (force) return [];
  if (diagnosis.verdict === 'healthy') {
    return [{ what: 'all replicas are healthy (nobody has looked at the images), and a restore throws away what was pushed since the backup', remedy: 'leave it as it is, or say force where the images are lost or damaged' }];
  }
  if (diagnosis.verdict === 'minorityLost') {
    const lost = diagnosis.replicas.filter(({ healthy }) => !healthy).map(({ id }) => id).join(',');
    return [{ what: `only a minority of the replicas is lost (${diagnosis.summary})`, remedy: `use the bootstrapper's "remove --replica-ids ${lost}" and then "join" for each, or say force` }];
  }
  return [];
}

function refuseTargets({ manifest, targets }: PlanInput): Finding[] {
  const known = manifest.product.replicas.map(({ id }) => id);
  const strangers = targets.filter(({ replicaId }) => !known.includes(replicaId));
  const twice = known.filter((id) => targets.filter(({ replicaId }) => replicaId === id).length > 1);
  return [
    ...strangers.map(({ replicaId, node }) => ({ what: `targets name the replica ${replicaId} (for ${node}), which is not in the backup`, remedy: `use the ids of the backup: ${known.join(', ')}` })),
    ...twice.map((id) => ({ what: `targets name the replica ${id} more than once`, remedy: 'give one node for each replica' })),
  ];
}

function refuseLostNodes({ members, targets, manifest }: PlanInput, replicas: Replica[]): Finding[] {
  const ready = new Set(members.filter((member) => member.ready).map(({ hostname }) => hostname));
  const known = new Set(members.map(({ hostname }) => hostname));
  return replicas.filter(({ node }) => !ready.has(node)).map(({ id, node }) => {
    const isTarget = targets.some((target) => target.replicaId === id);
    const state = known.has(node) ? 'does not answer' : 'is not in the Swarm';
    const before = manifest.product.replicas.find((replica) => replica.id === id)?.node;
    return isTarget
      ? { what: `the node ${node}, target for replica ${id}, ${state}`, remedy: `bring ${node} up and into the Swarm (docker node ls), or name another target` }
      : { what: `the node ${before} of replica ${id} is lost (it ${state}) and has no replacement`, remedy: `bring it back, rebuild it under its name, or give targets: [{"replicaId":"${id}","node":"<a node that is ready>"}]` };
  });
}

function refuseSharedNodes(replicas: Replica[]): Finding[] {
  const nodes = [...new Set(replicas.map(({ node }) => node))];
  return nodes
    .map((node) => ({ node, ids: replicas.filter((replica) => replica.node === node).map(({ id }) => id) }))
    .filter(({ ids }) => ids.length > 1)
    .map(({ node, ids }) => ({ what: `the replicas ${ids.join(' and ')} would both stand on ${node}`, remedy: 'a node can hold one replica: give each its own target' }));
}

/** Members that do not answer and held a replica: out of the Swarm before anything is put in their place. */
function fencesOf({ members, diagnosis, manifest }: PlanInput): string[] {
  const held = new Set([...manifest.product.replicas.map(({ node }) => node), ...diagnosis.lostNodes]);
  return [...new Set(members.filter(({ hostname, ready }) => !ready && held.has(hostname)).map(({ hostname }) => hostname))].sort();
}

/** Docker takes no manager out of the Swarm, down or not, before it is demoted; and whether the Swarm goes on with fewer managers is not for a restore of DTR to decide. */
function refuseLostManagers(input: PlanInput): Finding[] {
  const fences = new Set(fencesOf(input));
  const managers = input.members.filter(({ manager }) => manager);
  const lost = managers.filter(({ hostname, ready }) => !ready && fences.has(hostname));
  if (lost.length === 0) return [];
  // Beside a rebuilt host of the same name Docker calls the name ambiguous.
  const isShared = (member: MemberNode): boolean => input.members.some((other) => other !== member && other.hostname === member.hostname);
  const names = uniqueSorted(lost.map((member) => (isShared(member) ? `the old ${member.hostname}` : member.hostname)));
  const references = uniqueSorted(lost.map((member) => (isShared(member) ? (member.id ?? member.hostname) : member.hostname)));
  // What is left behind by a cluster that begins anew is no manager any more: Docker removes it, and would not demote it.
  const isMajorityLost = managers.filter(({ ready }) => ready).length * 2 <= managers.length;
  const way = isMajorityLost
    ? 'the Swarm has lost the majority of its managers: run docker swarm init --force-new-cluster on one that is left'
    : `run docker node demote ${references.join(' ')} on a manager that is left`;
  const back = lost.every(isShared) ? '' : ` (or bring ${lost.length > 1 ? 'them' : 'it'} back)`;
  return [{
    what: `${names.join(', ')} ${lost.length > 1 ? 'are managers' : 'is a manager'} of the Swarm and lost, and Docker removes none that was not demoted`,
    remedy: `${way}, then start the restore again${back}`,
  }];
}

function uniqueSorted(texts: string[]): string[] {
  return [...new Set(texts)].sort();
}

function scanningOf({ manifest, vulnerabilityDatabaseFile }: PlanInput): { mode: RestoreDecisions['scanning']; warnings: string[] } {
  const { scanningEnabled, scanningSyncOnline } = manifest.product.settings;
  if (!scanningEnabled) return { mode: 'off', warnings: [] };
  if (vulnerabilityDatabaseFile) return { mode: 'file', warnings: [] };
  if (scanningSyncOnline) return { mode: 'online', warnings: [] };
  return { mode: 'off', warnings: ['scanning is on without online updates, and policy.vulnerabilityDatabaseFile is not set: load the vulnerability database by hand after the restore'] };
}

function generalWarnings({ manifest, diagnosis, force }: PlanInput, decisions: RestoreDecisions): string[] {
  const known = new Set(manifest.product.replicas.map(({ id }) => id));
  const strangers = decisions.destroys.filter(({ id }) => !known.has(id));
  return [
    ...(force && (diagnosis.verdict === 'healthy' || diagnosis.verdict === 'minorityLost') ? [`forced although the cluster works: ${diagnosis.summary}`] : []),
    ...(manifest.status === 'incomplete' ? [`the backup is incomplete: ${manifest.counts.gaps} parts of images were missing when it was made`] : []),
    ...(strangers.length > 0 ? [`replicas that the backup does not know are destroyed: ${strangers.map(({ id, node }) => `${id} on ${node}`).join(', ')}`] : []),
    ...(decisions.storage.kind === 'external' ? [`images are not in this backup: ${decisions.storage.external ?? 'kept elsewhere'} looks after them`] : []),
  ];
}

function sorted(list: { id: string; node: string }[]): { id: string; node: string }[] {
  const unique = new Map(list.map(({ id, node }) => [`${node}/${id}`, { id, node }]));
  return [...unique.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

const MAX_MARKDOWN_BYTES = 8 * 1024;

/** The plan for people, below 8 KB: what is there, what is destroyed, what replaces it, and what was proven. */
export function planMarkdown(plan: RestorePlan): string {
  const { decisions: d, diagnosis, estimates } = plan;
  const replica = ({ id, node }: { id: string; node: string }): string => `\`${id}\` on **${node}**`;
  const lines = [
    `## Restore of ${d.cluster} from ${d.backupId}`, '',
    `Sealed ${plan.sealedAt}${d.vault === undefined ? '' : `, read from the vault \`${d.vault}\``}. Plan digest \`${plan.digest.slice(0, 12)}\`.`,
    ...section('What is there now', [diagnosis.summary, '', ...listed(diagnosis.replicas.map((state) => `${replica(state)}: ${state.healthy ? 'healthy' : state.note}`))]),
    ...section('What will be destroyed', listed(d.destroys.length === 0 ? ['nothing: no container or volume of a replica is left'] : d.destroys.map((each) => `containers and volumes of ${replica(each)}`))),
    ...fenceLines(d),
    ...section('What replaces it', [
      `DTR **${d.version}** (\`${d.bootstrapperImage}\`) at ${d.externalUrl}, UCP ${d.ucpUrl}.`, '',
      ...listed([
        `first: ${replica(d.first)}, ${portsOf(d.first)}`,
        ...d.joins.map((each) => `then joined: ${replica(each)}, ${portsOf(each)}`),
        ...d.targets.map((target) => `target for \`${target.replicaId}\`: ${target.node}${target.host === undefined ? '' : ` (SSH ${target.host})`}${target.hostKey === undefined ? '' : `, trusted by the new host key \`${keyText(target.hostKey)}\``}`),
        `storage: ${d.storage.kind}${d.volume === null ? '' : `, volume \`${d.volume.name}\``}; flag \`${storageFlagText(d)}\``,
        d.storage.kind === 'external' ? `images: **not in this backup** (${d.storage.external ?? 'kept elsewhere'})` : `images: ${count(estimates.tags, 'tag')} of ${count(estimates.repositories, 'repository', 'repositories')}; ${binary(estimates.bytesToMove)} to move, ${binary(estimates.bytesKept)} seem to be there already`,
        `vulnerability database: ${SCANNING[d.scanning]}`,
        `crons put back: ${d.crons.map(({ action }) => action).join(', ') || 'none'}`,
        ...(d.readOnly ? ['the registry was read-only before the backup, and stays so'] : []),
      ]),
    ]),
    ...section('Proof', listed(plan.proof)),
    ...(plan.warnings.length === 0 ? [] : section('Warnings', listed(plan.warnings))),
  ];
  return clipped(lines.join('\n'));
}

/** Kind and end of a public host key: enough to compare with what the host shows. */
function keyText(hostKey: string): string {
  const [kind = '', key = ''] = hostKey.trim().split(/\s+/);
  return `${kind} …${key.slice(-16)}`;
}

function fenceLines(d: RestoreDecisions): string[] {
  if (d.fences.length === 0) return [];
  const rebuilt = new Set([d.first, ...d.joins].map(({ node }) => node));
  const lines = d.fences.map((node) => (rebuilt.has(node) ? `the old **${node}**: its entry in the Swarm is down; a new host of that name takes its place` : `**${node}**`));
  return section('Taken out of the Swarm', ['These do not answer. Approving `destroy` confirms that they are off and stay off:', '', ...listed(lines)]);
}

/** Written out, because "80/443" is drawn as a fraction by some pages. */
function portsOf({ httpPort, httpsPort }: Replica): string {
  return `ports ${httpPort} and ${httpsPort}`;
}

const SCANNING = { online: 'fetched again online', file: 'loaded again from the file of the policy', off: 'not fetched (scanning is off)' } as const;

/** A heading and what stands under it, kept apart from what stands before. */
function section(title: string, lines: string[]): string[] {
  return ['', `### ${title}`, '', ...lines];
}

function binary(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Cut by bytes, at a line's end. */
function clipped(text: string): string {
  const note = '\n\n(shortened)';
  if (byteLength(text) < MAX_MARKDOWN_BYTES) return text;
  let cut = text;
  while (cut !== '' && byteLength(cut) + note.length >= MAX_MARKDOWN_BYTES) cut = cut.includes('\n') ? cut.slice(0, cut.lastIndexOf('\n')) : cut.slice(0, cut.length >> 1);
  return `${cut}${note}`;
}

/** UTF-8 length without Node: this room is part of workflows. */
function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
