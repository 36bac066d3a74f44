/** Lists of the whole cluster: every engine's own list put together, with names as `<node>/<name>`. */
import type { Account } from './accounts';
import type { Engine, Engines } from './engines';
import { HttpError, type JsonObject } from './http';
import { OWNER_LABEL } from './policy';

type Filters = Record<string, string[]>;

export interface ContainerRow extends JsonObject {
  Id: string;
  Names: string[];
  Created: number;
  Labels: Record<string, string> | null;
  Ports: { IP?: string }[];
}

/** Docker sends a filter as a list or as an object of `value: true`. */
export function readFilters(url: URL): Filters {
  const raw = url.searchParams.get('filters');
  if (raw === null || raw === '') return {};
  try {
    const parsed = JSON.parse(raw) as Record<string, string[] | Record<string, boolean>>;
    return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, Array.isArray(value) ? value : Object.keys(value)]));
  } catch {
    throw new HttpError(400, 'invalid filter');
  }
}

/** Node and name are filtered here, the rest by the engines. */
function split(url: URL, prefix: string): { path: string; names: RegExp[]; nodes: string[] | undefined } {
  const { name = [], node, ...rest } = readFilters(url);
  const query = new URLSearchParams(url.searchParams);
  for (const key of ['filters', 'limit']) query.delete(key);
  if (Object.keys(rest).length > 0) query.set('filters', JSON.stringify(rest));
  return { path: `${prefix}?${query.toString()}`, names: name.map((pattern) => new RegExp(pattern)), nodes: node };
}

async function among(engines: Engines, nodes: string[] | undefined): Promise<Engine[]> {
  return (await engines.ready()).filter((engine) => nodes === undefined || nodes.includes(engine.name));
}

function matches(names: RegExp[], full: string): boolean {
  const plain = full.slice(full.indexOf('/') + 1);
  return names.length === 0 || names.some((name) => [`/${full}`, full, `/${plain}`, plain].some((form) => name.test(form)));
}

export async function listContainers(engines: Engines, account: Account, url: URL, version: string): Promise<ContainerRow[]> {
  const { path, names, nodes } = split(url, `${version}/containers/json`);
  const answers = await engines.ask<ContainerRow[]>(path, await among(engines, nodes));
  const rows = answers.flatMap(({ engine, answer }) =>
    answer.map((row) => ({
      ...row,
      Names: row.Names.map((name) => `/${engine.name}${name}`),
      Ports: row.Ports.map((port) => (port.IP === '0.0.0.0' ? { ...port, IP: engine.address } : port)),
    })),
  );
  const limit = Number(url.searchParams.get('limit') ?? 0);
  const wanted = rows
    .filter((row) => row.Names.some((name) => matches(names, name.slice(1))))
    .filter((row) => account.isAdmin || row.Labels?.[OWNER_LABEL] === account.name)
    .sort((a, b) => b.Created - a.Created);
  return limit > 0 ? wanted.slice(0, limit) : wanted;
}

export async function listVolumes(engines: Engines, url: URL, version: string): Promise<JsonObject> {
  const { path, names, nodes } = split(url, `${version}/volumes`);
  const answers = await engines.ask<{ Volumes: { Name: string }[] | null }>(path, await among(engines, nodes));
  const volumes = answers.flatMap(({ engine, answer }) => (answer.Volumes ?? []).map((volume) => ({ ...volume, Name: `${engine.name}/${volume.Name}` })));
  return { Volumes: volumes.filter((volume) => matches(names, volume.Name)), Warnings: null };
}

export async function listImages(engines: Engines, url: URL, version: string): Promise<JsonObject[]> {
  const { path, nodes } = split(url, `${version}/images/json`);
  const answers = await engines.ask<{ Id: string; RepoTags: string[] | null }[]>(path, await among(engines, nodes));
  const images = new Map<string, { Id: string; RepoTags: string[] | null }>();
  for (const image of answers.flatMap(({ answer }) => answer)) {
    const tags = [...(images.get(image.Id)?.RepoTags ?? []), ...(image.RepoTags ?? [])];
    images.set(image.Id, { ...image, RepoTags: [...new Set(tags)] });
  }
  return [...images.values()];
}

/** The Swarm's networks once, each node's own as `<node>/<name>`. */
export async function listNetworks(engines: Engines, url: URL, version: string): Promise<JsonObject[]> {
  const { path, names } = split(url, `${version}/networks`);
  const answers = await engines.ask<{ Id: string; Name: string; Scope: string }[]>(path);
  const shared = new Map<string, { Id: string; Name: string }>();
  const local: { Id: string; Name: string }[] = [];
  for (const { engine, answer } of answers) {
    for (const network of answer) {
      if (network.Scope === 'swarm') shared.set(network.Id, network);
      else local.push({ ...network, Name: `${engine.name}/${network.Name}` });
    }
  }
  return [...shared.values(), ...local].filter((network) => matches(names, network.Name));
}
