import type { PruneInput } from '../../domain/prune-result';
import { createConsole } from '../console';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig } from '../session';

export interface PruneOptions {
  config?: string;
  json?: boolean;
  detach?: boolean;
  dryRun?: boolean;
  reason?: string;
}

/** Marks what the cluster's `keep` gives up and removes what was marked long enough ago; with `--dry-run` it only explains. */
export async function run(cluster: string, options: PruneOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) clusterOf(local, cluster);
  const session = await openSession(local);
  try {
    const input: PruneInput = { cluster, ...(options.dryRun ? { dryRun: true } : {}), ...(options.reason === undefined ? {} : { reason: options.reason }) };
    const started = await startOperation(session, { type: 'prune', input });
    return await afterStart(session, started, screen, options);
  } finally {
    await session.close();
  }
}
