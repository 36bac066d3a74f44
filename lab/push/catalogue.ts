/** Which repositories, tags and layers a seed stands for. Pure: nothing is built or sent here. */
import { logNormalFrom } from './random';

export interface CatalogueOptions {
  seed: number;
  repos: number;
  tags: number;
  /** Sum of all distinct layers, about. */
  mib: number;
}

/** A layer is fixed by its name and size; layers of one name are one blob, wherever they are used. */
export interface LayerPlan {
  name: string;
  bytes: number;
  /** Used by more than one tag. */
  shared: boolean;
}

export interface ImagePlan {
  architecture: 'amd64' | 'arm64';
  layers: LayerPlan[];
}

export interface TagPlan {
  name: string;
  /** `oci` or Docker's own media types: both are in use. */
  format: 'docker' | 'oci';
  /** More than one makes a multi-architecture index. */
  images: ImagePlan[];
  /** Pushed, and its tag deleted again. */
  deleted: boolean;
}

export interface RepositoryPlan {
  namespace: string;
  name: string;
  visibility: 'public' | 'private';
  tags: TagPlan[];
}

const NAMESPACES = ['acme', 'infra', 'alice'];
const NAMES = ['web', 'base', 'tools', 'api', 'proxy', 'notes', 'worker', 'agent', 'demo', 'billing', 'runner', 'lab'];
const MIB = 2 ** 20;
const SMALLEST_LAYER = 512;

/** Sizes before scaling, in units of the median layer. */
const WEIGHT = { system: 6, repository: 2, tag: 1 };

/** The same options give the same plan; another seed gives further tags in the same repositories. */
export function planCatalogue(options: CatalogueOptions): RepositoryPlan[] {
  const repositories = Array.from({ length: options.repos }, (_, index) => planRepository(options, index));
  scale(repositories, options.mib * MIB);
  return repositories;
}

function planRepository({ seed, tags }: CatalogueOptions, index: number): RepositoryPlan {
  const round = Math.floor(index / NAMES.length);
  const name = `${NAMES[index % NAMES.length]}${round === 0 ? '' : `-${round + 1}`}`;
  const repository = `${NAMESPACES[index % NAMESPACES.length]}/${name}`;
  const plan = (tag: string, more: Partial<TagPlan> = {}, architectures: ImagePlan['architecture'][] = ['amd64']): TagPlan => ({
    name: tag,
    format: index % 3 === 1 ? 'oci' : 'docker',
    images: architectures.map((architecture) => planImage(seed, repository, tag, architecture)),
    deleted: false,
    ...more,
  });
  const list = Array.from({ length: tags }, (_, number) => plan(`${seed}.${number}`));
  // Every site has these somewhere: one multi-architecture image, and one tag that someone deleted.
  if (index === 0) list.push(plan(`${seed}-multi`, {}, ['amd64', 'arm64']));
  if (index === 0) list.push(plan(`${seed}-retired`, { deleted: true }));
  return { namespace: NAMESPACES[index % NAMESPACES.length]!, name, visibility: index % 2 === 1 ? 'private' : 'public', tags: list };
}

/** A layer that all repositories share, one that all tags of a repository share, one or two of its own. */
function planImage(seed: number, repository: string, tag: string, architecture: ImagePlan['architecture']): ImagePlan {
  const layer = (name: string, weight: number, shared = false): LayerPlan => ({ name, bytes: weight * logNormalFrom(name), shared });
  const own = `${repository}/${tag}/${architecture}`;
  const layers = [
    layer(`seed-${seed}/system/${architecture}`, WEIGHT.system, true),
    layer(`seed-${seed}/${repository}/${architecture}`, WEIGHT.repository, true),
    layer(`seed-${seed}/${own}/program`, WEIGHT.tag),
  ];
  if (logNormalFrom(own) > 1) layers.push(layer(`seed-${seed}/${own}/data`, WEIGHT.tag));
  return { architecture, layers };
}

/** Turns weights into bytes so that the distinct layers add up to `total`. */
function scale(repositories: RepositoryPlan[], total: number): void {
  const all = repositories.flatMap((repository) => repository.tags.flatMap((tag) => tag.images.flatMap((image) => image.layers)));
  const weights = new Map(all.map((layer) => [layer.name, layer.bytes]));
  const sum = [...weights.values()].reduce((a, b) => a + b, 0);
  for (const layer of all) layer.bytes = Math.max(SMALLEST_LAYER, Math.round((weights.get(layer.name)! / sum) * total));
}
