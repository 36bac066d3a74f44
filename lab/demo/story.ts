/** The story: a registry is filled, backed up, lost and brought back; every promise on the way is checked. */
import type { BackupResult, RestoreInput, RestoreResult, RestoreTarget } from '../../domain/contract';
import { bytes, count } from '../../client/format';
import { breakLab, rebuild } from '../cli/break';
import type { Lab } from '../cli/context';
import { pushToLab } from '../cli/push';
import { NODES, type NodeName } from '../contract';
import { LabError } from '../hosts/process';
import type { PushedImage, PushReport } from '../push/push';
import type { Narrator } from './narrator';
import { runOperation, type Play } from './operations';
import { Puller } from './puller';

const CLUSTER = 'lab';
const LOST: NodeName[] = [NODES[1], NODES[2]];
const FIRST_PUSH = { repos: 6, tags: 3, mib: 64, seed: 1, client: 'auto' } as const;
const SECOND_PUSH = { repos: 6, tags: 1, mib: 16, seed: 2, client: 'auto' } as const;

/** Names of the runs, for whoever looks around afterwards. */
export interface Told {
  backupId: string;
  restoreId: string;
}

/** Plays all chapters that follow on the lab and `drydock up`. Throws LabError where anything is not as promised. */
export async function playStory(lab: Lab, play: Play, narrator: Narrator): Promise<Told> {
  const puller = await Puller.open(lab);
  try {
    const before = await push(lab, narrator, 'Images are pushed', FIRST_PUSH);
    const first = await backup(play, narrator, 'First backup', 'Everything is new, so everything is moved. The registry stays in full use meanwhile.');
    const more = await push(lab, narrator, 'More images are pushed', SECOND_PUSH);
    const second = await backup(play, narrator, 'Second backup', 'Blobs that the vault has already are not moved again.');
    compareBackups(narrator, first, second);
    const images = [...before.images, ...more.images];
    const targets = await disaster(lab, narrator, puller, images[0]);
    const restore = await bringBack(play, narrator, { cluster: CLUSTER, backup: second.backupId, targets, reason: 'two hosts and the registry volume are lost' });
    // The restore has checked these keys; from here on the hosts are known by them.
    await lab.state.trustHostKeys(lab.names);
    await pullAll(narrator, puller, images);
    return { backupId: second.backupId, restoreId: restore };
  } finally {
    await puller.close();
  }
}

function push(lab: Lab, narrator: Narrator, title: string, options: typeof FIRST_PUSH | typeof SECOND_PUSH): Promise<PushReport> {
  const intro = 'Real images of several repositories and organisations: shared layers, an index for two architectures, private ones, a deleted tag.';
  return narrator.chapter(
    title,
    intro,
    async () => {
      const report = await pushToLab(lab, options);
      narrator.say(`${count(report.images.length, 'image')} in ${count(report.repositories.length, 'repository', 'repositories')}, pushed by ${report.client}.`);
      return report;
    },
    (report) => ({ bytes: report.bytes, note: `${report.images.length} images` }),
  );
}

async function backup(play: Play, narrator: Narrator, title: string, intro: string): Promise<BackupResult> {
  const result = await narrator.chapter(
    title,
    intro,
    async () => (await runOperation(play, { type: 'backup', input: { cluster: CLUSTER } })).result as BackupResult,
    ({ bytes: moved, counts }) => ({ bytes: moved.moved, note: count(counts.newBlobs, 'new blob') }),
  );
  if (result.status !== 'complete') throw new LabError(`backup ${result.backupId} is ${result.status}: ${result.gaps.map(({ image }) => image).join(', ')}`);
  narrator.seen('The backup is sealed as complete: every tag was followed to blobs that lie in the vault with the right digest.');
  return result;
}

function compareBackups(narrator: Narrator, first: BackupResult, second: BackupResult): void {
  const moved = `${bytes(second.bytes.moved)} of ${bytes(second.bytes.images)}`;
  if (second.bytes.moved >= first.bytes.moved || second.counts.newBlobs >= second.counts.blobs) {
    throw new LabError(`the second backup moved ${moved}, which is more than what is new`);
  }
  narrator.seen(`It moved ${moved} (${count(second.counts.newBlobs, 'new blob')}, while the backup names ${second.counts.blobs}): only what is new since the first.`);
}

/** The majority of the hosts and all images are lost; two empty hosts take their places. Returns who stands where, with the new host keys. */
function disaster(lab: Lab, narrator: Narrator, puller: Puller, probe: PushedImage | undefined): Promise<RestoreTarget[]> {
  const intro = `${LOST.join(' and ')} lose power for ever, and the storage that all replicas share loses every image.`;
  return narrator.chapter('Disaster', intro, async () => {
    await puller.pull(imageFrom(probe));
    narrator.seen(`Before: ${nameOf(imageFrom(probe))} can be pulled.`);
    await breakLab(lab, 'volume', []);
    await breakLab(lab, 'majority', LOST);
    await expectPullToFail(lab, narrator, puller, imageFrom(probe));
    narrator.say('');
    narrator.say('Two empty hosts take their names and addresses. Their SSH host keys are new, so a person names them to the restore.');
    const { replicaIds } = await lab.state.read();
    const targets: RestoreTarget[] = [];
    for (const node of LOST) {
      const { hostKey } = await rebuild(lab, node, { images: true, trust: false });
      targets.push({ replicaId: idOf(replicaIds, node), node, hostKey });
      narrator.say(`  ${node}: ${hostKey}`);
    }
    return targets;
  });
}

async function expectPullToFail(lab: Lab, narrator: Narrator, puller: Puller, image: PushedImage): Promise<void> {
  let failure: string | undefined;
  try {
    await puller.pull(image);
  } catch (error) {
    lab.signal?.throwIfAborted();
    failure = error instanceof Error ? error.message : String(error);
  }
  if (failure === undefined) throw new LabError(`${nameOf(image)} can still be pulled, although hosts and images are lost`);
  narrator.seen(`After: pulling ${nameOf(image)} fails: ${failure}`);
}

async function bringBack(play: Play, narrator: Narrator, input: RestoreInput): Promise<string> {
  const intro = 'Nothing changes before the gate "plan", nothing is destroyed before the gate "destroy"; garbage collection comes back behind the gate "release".';
  const { run, result } = await narrator.chapter(
    'Restore',
    intro,
    async () => {
      const run = await runOperation(play, { type: 'restore', input });
      return { run, result: run.result as RestoreResult };
    },
    ({ result }) => ({ bytes: result.bytes.written, note: `${result.counts.blobsWritten} blobs written` }),
  );
  for (const stage of result.stages) {
    narrator.addPart({ title: stage.title, seconds: stage.seconds + (stage.waitedSeconds ?? 0), bytes: stage.bytes });
  }
  if (result.replicas.length !== NODES.length) throw new LabError(`${result.replicas.length} of ${NODES.length} replicas are back`);
  narrator.seen(`All ${NODES.length} replicas are back and healthy.`);
  return run.workflowId;
}

async function pullAll(narrator: Narrator, puller: Puller, images: PushedImage[]): Promise<void> {
  await narrator.chapter(
    'Every image of the backup is pulled and compared',
    'By digest, through the external URL, with skopeo; every manifest, configuration and layer is hashed again here.',
    async () => {
      const failures: string[] = [];
      let total = 0;
      for (const image of images) {
        try {
          const size = await puller.pull(image);
          total += size;
          narrator.say(`  ${nameOf(image)}  ${image.digest.slice(0, 19)}  ${bytes(size)}  equal`);
        } catch (error) {
          if (!(error instanceof LabError)) throw error;
          failures.push(nameOf(image));
          narrator.say(`  ${nameOf(image)}  ${image.digest.slice(0, 19)}  ${error.message}`);
        }
      }
      if (failures.length > 0) throw new LabError(`${failures.length} of ${images.length} images are not what was backed up: ${failures.join(', ')}`);
      narrator.say('');
      narrator.seen(`All ${images.length} images are there, equal to what was pushed.`);
      return total;
    },
    (total) => ({ bytes: total, note: `${images.length} images equal` }),
  );
}

function imageFrom(image: PushedImage | undefined): PushedImage {
  if (image === undefined) throw new LabError('no image was pushed');
  return image;
}

function idOf(replicaIds: Partial<Record<NodeName, string>>, node: NodeName): string {
  const id = replicaIds[node];
  if (id === undefined) throw new LabError(`there was no replica on ${node}`);
  return id;
}

function nameOf({ repository, tag }: PushedImage): string {
  return `${repository}:${tag}`;
}
