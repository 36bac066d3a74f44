/** Verification of one sealed backup to a level, and the verdict on it. Changes nothing but the verdict. */
import { version } from '../../package.json';
import { canDecrypt } from '../../adapters/openpgp/keyring';
import { isForWantOfKey } from '../../adapters/openpgp/session-key';
import { writeBadSegments } from '../../adapters/vault/bad-segments';
import { segmentsOf } from '../../adapters/vault/segment-list';
import { refuseNone } from '../../adapters/vault/vault-file';
import { writeVerdict } from '../../adapters/vault/verdicts';
import { DrydockError, noSuch } from '../../domain/errors';
import type { SegmentRef } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import type { Verdict, VerifyLevel } from '../../domain/verdict';
import { checkGraph, includes, type Damage, type Finding, type VerifyPart, type VerifyResult } from '../../domain/verify';
import type { Cluster } from '../cluster';
import { readBackup, unreadableBackup, type SealedBackup } from '../restore/backup';
import type { Progress } from '../restore/progress';
import { Catalogue } from './catalogue';
import { findElsewhere, manifestElsewhere } from './elsewhere';
import { asDamage, checkFiles, checkSegments, isDamage } from './files';
import { checkLinks } from './links';
import { nameFindings } from './names';
import { checkRows } from './rows';
import { readSegments } from './segments';

export interface VerifyRequest {
  /** An id, or `latest`. */
  backup: string;
  level: VerifyLevel;
  part?: VerifyPart;
  /** Look at ciphertext only, although a key may be at hand. */
  withoutKeys: boolean;
  by: string;
}

const SHOWN_FINDINGS = 100;

/** Throws NotFound (no such backup), Refused (L4 without a key), or what keeps us from looking; damage is a finding, not an error. */
export async function verifyBackup(cluster: Cluster, request: VerifyRequest, progress: Progress): Promise<VerifyResult> {
  const startedAt = new Date().toISOString();
  let sealed: SealedBackup;
  try {
    sealed = await readBackup(cluster, request.backup);
  } catch (error) {
    return judgeUnreadable(cluster, request, startedAt, error);
  }
  const { manifest } = sealed;
  const look = new Look(cluster, request, sealed, progress, startedAt);
  await look.open();
  await look.all();
  const findings = await findElsewhere(cluster, manifest, look.segments, await nameFindings(cluster, manifest, look.catalogue, look.damages));
  return conclude(cluster, request, { backupId: manifest.backupId, startedAt: look.startedAt, withKeys: look.withKeys, checked: look.checked, findings, notes: look.notes }, look.damages.flatMap(({ segment }) => segment ?? []));
}

/** The verdict on a backup whose manifest is damaged. Throws the error again where it says something else. */
async function judgeUnreadable(cluster: Cluster, request: VerifyRequest, startedAt: string, error: unknown): Promise<VerifyResult> {
  const backupId = unreadableBackup(error);
  if (backupId === null) throw error;
  const file = vaultPaths.manifest(cluster.name, backupId);
  const intactIn = await manifestElsewhere(cluster, backupId);
  const finding: Finding = { image: null, digest: null, segment: null, file, what: (error as DrydockError).message, lastBackup: null, ...(intactIn === undefined ? {} : { intactIn }) };
  const notes = ['Nothing else of this backup was looked at: what belongs to it stands in its manifest. It cannot be restored before that is put back from a second copy of the vault; prune keeps all segments meanwhile.'];
  return conclude(cluster, request, { backupId, startedAt, withKeys: false, checked: { segments: 0, blobs: 0, bytes: 0, tags: 0 }, findings: [finding], notes }, []);
}

/** What was found becomes the result, and the verdict in the vault. */
async function conclude(cluster: Cluster, request: VerifyRequest, found: Pick<VerifyResult, 'backupId' | 'startedAt' | 'withKeys' | 'checked' | 'findings' | 'notes'>, badSegments: string[]): Promise<VerifyResult> {
  const { backupId, startedAt, withKeys, checked, findings, notes } = found;
  const result: VerifyResult = {
    backupId,
    cluster: cluster.name,
    level: request.level,
    ...(request.part ? { part: request.part } : {}),
    result: findings.length === 0 ? 'good' : 'bad',
    withKeys,
    startedAt,
    at: new Date().toISOString(),
    checked,
    findingCount: findings.length,
    findings: findings.slice(0, SHOWN_FINDINGS),
    notes,
  };
  await keepVerdict(cluster, request, result, findings, badSegments);
  return result;
}

/** One verification under way. */
class Look {
  readonly catalogue = new Catalogue();
  readonly damages: Damage[] = [];
  readonly notes: string[] = [];
  readonly checked = { segments: 0, blobs: 0, bytes: 0, tags: 0 };
  /** Of the backup; none before their list was read. */
  segments: SegmentRef[] = [];
  withKeys = false;
  private listsRead = false;
  /** What kept the lists from being read although a key opens them. */
  private listFault: DrydockError | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly request: VerifyRequest,
    private readonly sealed: SealedBackup,
    private readonly progress: Progress,
    /** Of what an earlier attempt had read already, if this one goes on from there. */
    public startedAt: string,
  ) {}

  /** The lists, if a key at hand opens them. */
  async open(): Promise<void> {
    const { level, withoutKeys } = this.request;
    const keys = await this.cluster.decryptionKeys();
    this.withKeys = !withoutKeys && canDecrypt(keys);
    if (this.withKeys) await this.readLists();
    if (this.withKeys) return;
    if (level === 'L4') throw new DrydockError('Refused', 'level L4 compares the metadata with what is stored, and no key at hand opens this backup', { remedy: 'verify to L3 here, or to L4 where a private key or a passphrase of the backup is configured' });
    const opensWith = this.sealed.manifest.artifacts.metadata.recipients.join(' or ');
    this.notes.push(`Without a key: sizes and digests of what is stored are compared with what was sealed. That shows that nothing was changed since, not what it holds; tags are not followed${includes(level, 'L1') ? ', and links are not read' : ''}. The backup opens with ${opensWith}.`);
  }

  async all(): Promise<void> {
    const { cluster, sealed, catalogue, progress, notes } = this;
    const { manifest } = sealed;
    const { level, part } = this.request;
    progress.update({ phase: 'seal and artifacts' });
    const files = await checkFiles(cluster, sealed, notes);
    this.damages.push(...files, ...this.listDamage(files));
    const segments = await this.readList(files);
    if (segments === null) return;
    this.segments = segments;
    this.damages.push(...(await checkSegments(cluster, segments, catalogue, progress)));
    this.checked.segments = segments.length;
    this.checked.tags = catalogue.tags.length;
    this.checked.blobs = catalogue.blobCount;
    const hasImages = manifest.images.in !== 'elsewhere';
    if (manifest.images.in === 'elsewhere') notes.push(`Images are not in this backup: ${manifest.images.keptBy}.`);
    if (this.listsRead && hasImages) await this.followTags();
    if (includes(level, 'L3')) {
      const read = await readSegments(cluster, { startedAt: this.startedAt, segments, manifestSha256: sealed.sha256, withKeys: this.listsRead, lost: this.lost, ...(part ? { part } : {}) }, catalogue, progress);
      this.damages.push(...read.damages);
      this.startedAt = read.startedAt;
      Object.assign(this.checked, { segments: read.segments, blobs: read.blobs, bytes: read.bytes });
      if (part) notes.push(`Part ${part.n} of ${part.t}: ${read.segments} of ${segments.length} segments were read; ${part.t} runs, one for each part, read all.`);
    }
    if (includes(level, 'L4') && this.listsRead && hasImages) {
      progress.update({ phase: 'rows of the metadata' });
      this.damages.push(...(await checkRows(cluster, manifest, catalogue, notes)));
    }
    for (const segment of this.lost) {
      this.damages.push(...catalogue.neededOf(segment).map(({ sha256 }) => ({ digest: sha256, segment, what: 'its segment is gone or cut short' })));
    }
  }

  /** Null, with a finding, where the list of segments is damaged or gone: nobody can say then what belongs to the backup. */
  private async readList(files: readonly Damage[]): Promise<SegmentRef[] | null> {
    const { manifest } = this.sealed;
    const { name } = manifest.artifacts.segments;
    try {
      return await segmentsOf(this.cluster.vault, manifest, this.cluster.signal);
    } catch (error) {
      const damage = asDamage(error, name);
      if (!files.some(({ file }) => file === name)) this.damages.push(damage);
      this.notes.push('Segments were not looked at: which of them belong to this backup stands in its list of segments. Put that back from a second copy of the vault; prune keeps all segments meanwhile.');
      return null;
    }
  }

  private get lost(): Set<string> {
    return new Set(this.damages.flatMap(({ segment, lost }) => (lost && segment !== undefined ? [segment] : [])));
  }

  /** A list that has the digest that was sealed and cannot be read all the same was written so. */
  private listDamage(files: readonly Damage[]): Damage[] {
    const { tags, blobs } = this.sealed.manifest.artifacts;
    const what = this.listFault?.message;
    if (what === undefined || files.some(({ file }) => file === tags.name || file === blobs.name)) return [];
    return [{ file: what.includes(tags.name) ? tags.name : blobs.name, what }];
  }

  /** L1 and L2. */
  private async followTags(): Promise<void> {
    const { cluster, sealed, catalogue, notes, progress } = this;
    const { level } = this.request;
    if (includes(level, 'L1')) {
      progress.update({ phase: 'links' });
      const tree = sealed.manifest.artifacts.tree?.name ?? '';
      this.damages.push(...(await checkLinks(cluster, sealed.manifest, catalogue, notes).catch((error: unknown) => [asDamage(error, tree)])));
    }
    if (!includes(level, 'L2')) return;
    progress.update({ phase: 'tags' });
    const graph = checkGraph(catalogue.tags, catalogue.follower, catalogue);
    this.damages.push(...graph.damages);
    const orphans = catalogue.orphans();
    const tolerated: [number, string][] = [
      [graph.inFlight, 'tags were being pushed while the backup was made, and are not held to it'],
      [graph.knownGaps, 'tags were incomplete in the registry already, and are known to be'],
      [graph.acceptedGaps, 'tags lack what people have accepted to be missing'],
      [graph.foreignLayers, 'foreign layers are fetched from elsewhere, and need not be here'],
      [graph.schema1, 'manifests are of schema 1, which says no sizes'],
      [graph.wrongSizes, 'parts of images have another size than their manifest says, in the registry as in the backup'],
      [graph.unreadable, 'manifests cannot be read as such, in the registry as in the backup; what they need was not followed'],
      [orphans.count, `blobs belong to no tag${orphans.referrers > 0 ? ` (${orphans.referrers} of them are referrers, such as signatures)` : ''}`],
    ];
    notes.push(...tolerated.filter(([count]) => count > 0).map(([count, what]) => `Tolerated: ${count} ${what}.`));
  }

  /** A damaged list is a finding; no fitting key means to go on without. */
  private async readLists(): Promise<void> {
    try {
      await this.catalogue.readLists(this.cluster, this.sealed.manifest);
      this.listsRead = true;
    } catch (error) {
      if (isForWantOfKey(error)) this.withKeys = false;
      else if (isDamage(error)) this.listFault = error;
      else throw error;
    }
  }
}

/** A verdict that cannot be kept is said, and fails nothing. */
async function keepVerdict(cluster: Cluster, request: VerifyRequest, result: VerifyResult, findings: Finding[], badSegments: string[]): Promise<void> {
  const { vault, name } = cluster;
  // A link in its place is among the findings.
  const stands = await vault.stat(vaultPaths.manifest(name, result.backupId)).then((entry) => entry !== null, (error: unknown) => asDamage(error, name) !== null);
  if (!stands) {
    await refuseNone(vault);
    throw noSuch(`the backup ${result.backupId} was removed while it was verified`, { remedy: 'verify another one of `drydock list`' });
  }
  const { backupId, level, part, startedAt, at, withKeys, checked } = result;
  const verdict: Verdict = {
    format: 1, backupId, level, startedAt, at, by: request.by, tool: { name: 'drydock', version }, withKeys, result: result.result, checked, findings: findings.length, ...(part ? { part } : {}),
  };
  try {
    await writeBadSegments(vault, name, backupId, at, badSegments);
    await writeVerdict(vault, name, verdict, findings, await cluster.encryptionKeys());
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    result.notes.push(`The verdict could not be kept in the vault: ${error.message}.`);
  }
}
