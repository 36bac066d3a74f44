/** Creating and inspecting one container of the cluster. */
import type { ServerResponse } from 'node:http';
import type { Account } from './accounts';
import type { Engine, Engines } from './engines';
import { HttpError, type JsonObject, sendJson } from './http';
import type { Locator } from './locate';
import { place, readPlacement } from './placement';
import { checkCreate, OWNER_LABEL } from './policy';

/** Chooses the node, takes the conditions out of the environment and creates the container there. */
export async function createContainer(
  engines: Engines,
  locator: Locator,
  account: Account,
  wanted: JsonObject,
  response: ServerResponse,
  url: URL,
  version: string,
): Promise<void> {
  checkCreate(account, wanted);
  const placement = readPlacement(Array.isArray(wanted.Env) ? wanted.Env.map(String) : []);
  const [beside] = placement.beside;
  const besideNode = beside === undefined ? undefined : (await locator.container(beside)).engine.name;
  const name = url.searchParams.get('name') ?? '';
  const plainName = name.slice(name.indexOf('/') + 1);
  if (name !== plainName) placement.constraints.push(`node==${name.slice(0, name.indexOf('/'))}`);
  const ready = await engines.ready();
  if (plainName !== '') await refuseSecond(engines, plainName);
  const engine = place(ready, placement, besideNode);
  const labels = { ...(wanted.Labels as Record<string, string> | null), [OWNER_LABEL]: account.name };
  const query = new URLSearchParams(url.searchParams);
  if (plainName !== '') query.set('name', plainName);
  const created = await engines.json<{ Id: string }>(engine, `${version}/containers/create?${query.toString()}`, 'POST', { ...wanted, Env: placement.env, Labels: labels });
  // The engine's 404 for an image makes the Docker client pull and try again.
  if (created === undefined) throw new HttpError(404, `No such image: ${String(wanted.Image)}`);
  locator.remember(created.Id, engine);
  sendJson(response, 201, created);
}

/** Through UCP a container's name is taken when any node has it. */
async function refuseSecond(engines: Engines, name: string): Promise<void> {
  const taken = await engines.ask(`/containers/${encodeURIComponent(name)}/json`);
  if (taken.length > 0) throw new HttpError(409, `Conflict: The name ${name} is already assigned to a container on node ${taken[0]!.engine.name}.`);
}

/** An engine's own answer, with the node and its address added. */
export async function inspectContainer(engines: Engines, engine: Engine, path: string): Promise<JsonObject> {
  const details = await engines.json<JsonObject>(engine, path);
  if (details === undefined) throw new HttpError(404, `No such container: ${path.split('/').at(-2) ?? ''}`);
  const node = { ID: engine.nodeId, IP: engine.address, Addr: `${engine.address}:12376`, Name: engine.name, Cpus: engine.cpus, Memory: engine.memory, Labels: {} };
  const settings = details.NetworkSettings as { Ports?: Record<string, { HostIp: string }[] | null> } | undefined;
  for (const bindings of Object.values(settings?.Ports ?? {})) for (const binding of bindings ?? []) if (binding.HostIp === '0.0.0.0') binding.HostIp = engine.address;
  return { ...details, Node: node };
}
