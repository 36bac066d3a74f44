/** `lab push`: fills a registry with real images that a seed fixes, and reports every one so that a restore can be compared. */
import { count } from '../../domain/count';
import { planCatalogue, type CatalogueOptions, type RepositoryPlan, type TagPlan } from './catalogue';
import { LabHttp, type Endpoint } from './http';
import { buildTag, LayerCache, type BuiltTag } from './image';
import { directPusher, skopeoPusher, type Pusher } from './pusher';

export interface PushOptions extends Endpoint, CatalogueOptions {
  /** `auto`: skopeo for a handful of tags, the registry protocol itself for many. */
  client?: 'auto' | 'skopeo' | 'direct';
  /** False for a registry that is no DTR: repositories are not created first. */
  dtr?: boolean;
  /** Tags pushed at the same time. */
  parallel?: number;
  /** One line per finished repository. */
  log?: (line: string) => void;
}

export interface PushedImage {
  /** `namespace/name`. */
  repository: string;
  tag: string;
  digest: string;
}

export interface PushReport {
  seed: number;
  /** Tags that are there now. */
  images: PushedImage[];
  /** Tags that were pushed and deleted again. */
  deleted: PushedImage[];
  repositories: { name: string; visibility: 'public' | 'private' }[];
  /** Distinct blobs (layers and configurations) and their bytes. */
  blobs: number;
  bytes: number;
  seconds: number;
  client: 'skopeo' | 'direct';
}

/** Above this many tags, starting skopeo for each takes longer than sending them. */
const MANY_TAGS = 40;

/** Pushes the images of a seed. Running it again with the same seed changes nothing; another seed adds tags. */
export async function pushImages(options: PushOptions): Promise<PushReport> {
  const started = Date.now();
  const log = options.log ?? (() => undefined);
  const plan = planCatalogue(options);
  const http = new LabHttp(options);
  const pusher = await choosePusher(options, plan, http);
  const report: PushReport = { seed: options.seed, images: [], deleted: [], repositories: [], blobs: 0, bytes: 0, seconds: 0, client: pusher.name };
  const blobs = new Map<string, number>();
  const cache = new LayerCache();
  try {
    for (const repository of plan) {
      await pushRepository(repository, { options, http, pusher, report, blobs, cache });
      log(`${repository.namespace}/${repository.name}: ${count(repository.tags.length, 'tag')} pushed`);
    }
  } finally {
    await pusher.close();
    await http.close();
  }
  report.blobs = blobs.size;
  report.bytes = [...blobs.values()].reduce((a, b) => a + b, 0);
  report.seconds = (Date.now() - started) / 1000;
  return report;
}

interface Run {
  options: PushOptions;
  http: LabHttp;
  pusher: Pusher;
  report: PushReport;
  blobs: Map<string, number>;
  cache: LayerCache;
}

async function choosePusher(options: PushOptions, plan: RepositoryPlan[], http: LabHttp): Promise<Pusher> {
  const tags = plan.reduce((sum, repository) => sum + repository.tags.length, 0);
  const wanted = options.client ?? 'auto';
  const direct = wanted === 'direct' || (wanted === 'auto' && tags > MANY_TAGS);
  return direct ? directPusher(http) : skopeoPusher(options);
}

async function pushRepository(plan: RepositoryPlan, run: Run): Promise<void> {
  const repository = `${plan.namespace}/${plan.name}`;
  if (run.options.dtr !== false) await createRepository(run.http, plan);
  run.report.repositories.push({ name: repository, visibility: plan.visibility });
  const waiting = [...plan.tags];
  const done = new Map<string, BuiltTag>();
  const worker = async (): Promise<void> => {
    for (let tag = waiting.shift(); tag !== undefined; tag = waiting.shift()) {
      const built = await buildTag(tag, run.cache);
      await run.pusher.push(repository, tag.name, built);
      for (const blob of built.blobs) run.blobs.set(blob.digest, blob.data.length);
      // Only the digest is needed from here on; layers may be large.
      done.set(tag.name, { blobs: [], children: [], manifest: built.manifest });
    }
  };
  await Promise.all(Array.from({ length: run.options.parallel ?? 2 }, worker));
  for (const tag of plan.tags) await settle(repository, tag, done.get(tag.name)!.manifest.digest, run);
}

/** Notes the tag in the report; one that is to be deleted goes now, when all others are there. */
async function settle(repository: string, tag: TagPlan, digest: string, run: Run): Promise<void> {
  const image: PushedImage = { repository, tag: tag.name, digest };
  if (!tag.deleted) {
    run.report.images.push(image);
    return;
  }
  if (run.options.dtr !== false) await run.http.basic('DELETE', `/api/v0/repositories/${repository}/tags/${tag.name}`, { expect: [200, 202, 204] });
  else await run.http.registry('DELETE', `/v2/${repository}/manifests/${digest}`, repository, { expect: [202] });
  run.report.deleted.push(image);
}

/** DTR accepts pushes into repositories that exist; one that is there already is fine. */
async function createRepository(http: LabHttp, plan: RepositoryPlan): Promise<void> {
  const path = `/api/v0/repositories/${plan.namespace}`;
  const there = await http.basic('GET', `${path}/${plan.name}`, { expect: [200, 404] });
  if (there.status === 200) return;
  await http.basic('POST', path, { body: JSON.stringify({ name: plan.name, visibility: plan.visibility }), headers: { 'content-type': 'application/json' }, expect: [200, 201] });
}
