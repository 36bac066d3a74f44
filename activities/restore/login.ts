import { DrydockError } from '../../domain/errors';
import type { Cluster } from '../cluster';

/** Before anything else is asked: without that right UCP refuses, or shows only a part of the cluster. Throws NotPermitted, AuthRejected. */
export async function requireAdministrator(cluster: Cluster): Promise<void> {
  if (await (await cluster.ucp()).isAdmin()) return;
  throw new DrydockError('NotPermitted', `the UCP user ${cluster.config.ucp.username} is not an administrator`, { remedy: 'set ucp.username to an administrator of UCP' });
}
