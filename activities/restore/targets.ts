import type { RestoreTarget } from '../../domain/contract';
import type { Host } from '../../adapters/host/host';
import type { Cluster, HostOverride } from '../cluster';

/** The SSH host of a node, by the target that names it where there is one. */
export function hostOf(cluster: Cluster, targets: Pick<RestoreTarget, 'node' | 'host' | 'port' | 'hostKey'>[], node: string): Promise<Host> {
  const target = targets.find((each) => each.node === node);
  const override: HostOverride = {
    ...(target?.host === undefined ? {} : { host: target.host }),
    ...(target?.port === undefined ? {} : { port: target.port }),
    ...(target?.hostKey === undefined ? {} : { hostKey: target.hostKey }),
  };
  return cluster.host(node, override);
}
