/** What a user who is no administrator may do with the Docker API: look at the cluster's face and run plain containers of his own. */
import type { Account } from './accounts';
import { HttpError, type JsonObject } from './http';

export const OWNER_LABEL = 'com.docker.ucp.access.owner';

/** Paths that every user of UCP may read. */
const OPEN = /^\/(version|info|containers\/json|images\/json|images\/.+\/json|networks|_ping)$/;
/** Paths about one container; they are decided by its owner. */
const OF_A_CONTAINER = /^\/(containers\/.+|exec\/.+)$/;

export function denied(operation: string): HttpError {
  return new HttpError(403, `access denied: no access to ${operation}`);
}

/** Throws 403 where the kind of request alone tells that it is an administrator's. */
export function checkRequest(account: Account, method: string, path: string): void {
  if (account.isAdmin) return;
  if (method === 'GET' && OPEN.test(path)) return;
  if (OF_A_CONTAINER.test(path) && path !== '/containers/prune') return;
  const kind = path.split('/')[1] ?? '';
  throw denied(`${kind.charAt(0).toUpperCase()}${kind.slice(1)} ${method === 'GET' ? 'View' : 'Change'}, on collection /`);
}

export function checkOwner(account: Account, labels: Record<string, string> | null | undefined): void {
  if (account.isAdmin || labels?.[OWNER_LABEL] === account.name) return;
  throw denied('Container View, on a container of another collection');
}

/** Throws 403 for a container that would give more rights over a node than its user has. */
export function checkCreate(account: Account, container: JsonObject): void {
  if (account.isAdmin) return;
  const host = (container.HostConfig ?? {}) as JsonObject;
  const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  if (/^(docker|mirantis|.+\/msr)\/(dtr|ucp)(:|@|$)/.test(String(container.Image))) throw denied('Container Create, with a system image');
  if (host.Privileged === true) throw denied('Container Create, with privileged mode');
  if (list(host.Binds).some((bind) => bind.startsWith('/'))) throw denied('Container Create, with a bind mount of a host path');
  const mounts = (Array.isArray(host.Mounts) ? host.Mounts : []) as JsonObject[];
  if (mounts.some((mount) => mount.Type === 'bind')) throw denied('Container Create, with a bind mount of a host path');
  if (list(host.CapAdd).length > 0 || list(host.Devices).length > 0) throw denied('Container Create, with additional kernel capabilities');
  for (const key of ['NetworkMode', 'PidMode', 'IpcMode']) if (host[key] === 'host') throw denied(`Container Create, with ${key} host`);
}
