/** The Docker API over all nodes, as UCP shows it: one engine to its clients, many behind. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Account } from './accounts';
import { requireAdmin } from './accounts-api';
import type { ClusterFace } from './cluster-face';
import { createContainer, inspectContainer } from './containers';
import type { Engine, Engines } from './engines';
import { broadcastImages, mergedEvents } from './fan-out';
import { HttpError, readBody, readJson, sendEmpty, sendJson, text } from './http';
import { listContainers, listImages, listNetworks, listVolumes } from './lists';
import { type ContainerDetails, Locator } from './locate';
import { checkOwner, checkRequest } from './policy';
import { forward, hijack } from './streams';

/** Kinds of things that only the Swarm's manager knows. */
const MANAGER_KINDS = new Set(['nodes', 'swarm', 'services', 'tasks', 'secrets', 'configs', 'distribution']);

/** One request, taken apart. */
interface Call {
  account: Account;
  request: IncomingMessage;
  response: ServerResponse;
  url: URL;
  /** `/v1.41` or empty. */
  version: string;
  /** Path without the version. */
  path: string;
  method: string;
}

export class DockerApi {
  private readonly locator: Locator;

  constructor(
    private readonly engines: Engines,
    private readonly face: ClusterFace,
  ) {
    this.locator = new Locator(engines);
  }

  async handle(account: Account, request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { version, path } = splitVersion(url.pathname);
    const call: Call = { account, request, response, url, version, path, method: request.method ?? 'GET' };
    checkRequest(account, call.method, path);
    const kind = path.split('/')[1] ?? '';
    if (MANAGER_KINDS.has(kind)) return forward(this.engines, await this.engines.manager(), request, response, request.url ?? path);
    switch (kind) {
      case 'version':
        return sendJson(response, 200, await this.face.version(version));
      case 'info':
        return sendJson(response, 200, await this.face.info());
      case 'events':
        return mergedEvents(this.engines, `${version}/events${url.search}`, response);
      case 'containers':
        return this.containers(call);
      case 'exec':
        return this.exec(call);
      case 'volumes':
        return this.volumes(call);
      case 'images':
        return this.images(call);
      case 'networks':
        return this.networks(call);
      default:
        throw new HttpError(501, `the lab's UCP does not offer ${call.method} ${path}`);
    }
  }

  /** Attach and exec: the socket becomes a raw stream to the engine. */
  async upgrade(account: Account, request: IncomingMessage, socket: Duplex, head: Buffer, url: URL): Promise<void> {
    const { version, path } = splitVersion(url.pathname);
    checkRequest(account, request.method ?? 'POST', path);
    const { kind, ref, action } = parts(path, 'POST');
    if (kind === 'containers' && action === 'attach') {
      const engine = await this.ownContainer(account, ref);
      return hijack(this.engines, engine.engine, request, socket, head, `${version}/containers/${engine.ref}/attach${url.search}`);
    }
    if (kind === 'exec' && action === 'start') {
      const { engine } = await this.locator.exec(ref);
      return hijack(this.engines, engine, request, socket, head, `${version}/exec/${ref}/start`);
    }
    throw new HttpError(501, `the lab's UCP has no raw stream at ${path}`);
  }

  private async containers(call: Call): Promise<void> {
    const { account, request, response, url, version, path, method } = call;
    if (path === '/containers/json') return sendJson(response, 200, await listContainers(this.engines, account, url, version));
    if (path === '/containers/create') return createContainer(this.engines, this.locator, account, await readJson(request), response, url, version);
    if (path === '/containers/prune') throw new HttpError(501, "the lab's UCP does not prune");
    const { ref, action } = parts(path, method);
    const { engine, ref: name } = await this.ownContainer(account, ref);
    const target = `${version}/containers/${name}${action === '' ? '' : `/${action}`}${url.search}`;
    if (method === 'GET' && action === 'json') return sendJson(response, 200, await inspectContainer(this.engines, engine, target));
    if (method === 'POST' && action === 'exec') {
      const body = await readBody(request);
      const created = await this.engines.json<{ Id: string }>(engine, target, 'POST', JSON.parse(body.toString('utf8')));
      if (created === undefined) throw new HttpError(404, `No such container: ${ref}`);
      this.locator.remember(created.Id, engine);
      return sendJson(response, 201, created);
    }
    return forward(this.engines, engine, request, response, target);
  }

  private async ownContainer(account: Account, reference: string): Promise<{ engine: Engine; ref: string }> {
    const located = await this.locator.container(reference);
    if (!account.isAdmin) {
      const details = await this.engines.json<ContainerDetails>(located.engine, `/containers/${located.ref}/json`);
      checkOwner(account, details?.Config.Labels);
    }
    return located;
  }

  private async exec({ request, response, url, version, path, method }: Call): Promise<void> {
    const { ref, action } = parts(path, method);
    const { engine } = await this.locator.exec(ref);
    return forward(this.engines, engine, request, response, `${version}/exec/${ref}/${action}${url.search}`);
  }

  private async volumes({ account, request, response, url, version, path, method }: Call): Promise<void> {
    if (path === '/volumes' && method === 'GET') return sendJson(response, 200, await listVolumes(this.engines, url, version));
    requireAdmin(account);
    if (path === '/volumes/create') {
      const wanted = await readJson(request);
      const name = text(wanted.Name);
      const slash = name.indexOf('/');
      // Without a node the volume is made on all of them, as classic Swarm does.
      const targets = slash > 0 ? [await this.engines.named(name.slice(0, slash))] : await this.engines.ready();
      const body = { ...wanted, Name: name.slice(slash + 1) };
      const made = await Promise.all(targets.map((engine) => this.engines.json<{ Name: string }>(engine, `${version}/volumes/create`, 'POST', body)));
      return sendJson(response, 201, { ...made[0], Name: slash > 0 ? name : made[0]?.Name });
    }
    const reference = decodeURIComponent(path.slice('/volumes/'.length));
    const { engine, ref } = await this.locator.volume(reference);
    if (method === 'GET') {
      const volume = await this.engines.json<{ Name: string }>(engine, `${version}/volumes/${ref}`);
      if (volume === undefined) throw new HttpError(404, `get ${reference}: no such volume`);
      return sendJson(response, 200, { ...volume, Name: `${engine.name}/${volume.Name}` });
    }
    return forward(this.engines, engine, request, response, `${version}/volumes/${ref}${url.search}`);
  }

  private async images({ account, request, response, url, version, path, method }: Call): Promise<void> {
    if (path === '/images/json') return sendJson(response, 200, await listImages(this.engines, url, version));
    if (method === 'GET') {
      const reference = decodeURIComponent(path.replace(/^\/images\//, '').replace(/\/(json|history|get)$/, ''));
      const [engine] = await this.locator.image(reference);
      return forward(this.engines, engine!, request, response, request.url ?? path);
    }
    requireAdmin(account);
    if (path === '/images/load' || path === '/images/create') return broadcastImages(this.engines, request, response);
    const reference = decodeURIComponent(path.replace(/^\/images\//, '').replace(/\/(tag|push)$/, ''));
    const holders = await this.locator.image(reference);
    for (const engine of holders.slice(1)) await this.engines.json(engine, request.url ?? path, method);
    return forward(this.engines, holders[0]!, request, response, request.url ?? path);
  }

  private async networks({ account, request, response, url, version, path, method }: Call): Promise<void> {
    if (path === '/networks') return sendJson(response, 200, await listNetworks(this.engines, url, version));
    requireAdmin(account);
    if (path === '/networks/create') return forward(this.engines, await this.engines.manager(), request, response, request.url ?? path);
    const { ref: reference, action } = method === 'POST' ? parts(path, method) : { ref: decodeURIComponent(path.slice('/networks/'.length)), action: '' };
    if (action === 'connect' || action === 'disconnect') {
      const wanted = await readJson(request);
      const { engine, ref } = await this.locator.container(text(wanted.Container));
      const network = reference.slice(reference.indexOf('/') + 1);
      await this.engines.json(engine, `${version}/networks/${network}/${action}`, 'POST', { ...wanted, Container: ref });
      return sendEmpty(response, 200);
    }
    const { engine, ref } = await this.locator.network(reference);
    return forward(this.engines, engine, request, response, `${version}/networks/${ref}${url.search}`);
  }
}

function splitVersion(pathname: string): { version: string; path: string } {
  const match = /^(\/v\d+\.\d+)?(\/.*)$/.exec(pathname);
  return { version: match?.[1] ?? '', path: match?.[2] ?? pathname };
}

/** `/containers/<node>/<name>/json` -> kind, reference, action; a DELETE has no action. */
function parts(path: string, method: string): { kind: string; ref: string; action: string } {
  const [kind = '', ...rest] = path.split('/').slice(1).map(decodeURIComponent);
  const action = method === 'DELETE' ? '' : (rest.pop() ?? '');
  return { kind, ref: rest.filter((part) => part !== '').join('/'), action };
}
