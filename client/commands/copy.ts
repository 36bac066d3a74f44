import type { CopyInput } from '../../domain/copy';
import { createConsole } from '../console';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig } from '../session';
import { vaultNamed } from '../vaults';

export interface CopyOptions {
  config?: string;
  from?: string;
  to?: string;
  backup?: string;
  reason?: string;
  json?: boolean;
  detach?: boolean;
}

/** Fills the copies of a cluster from its vault, or one vault from another. */
export async function run(cluster: string, options: CopyOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) {
    clusterOf(local, cluster);
    for (const name of [options.from, options.to]) if (name !== undefined) vaultNamed(local, name);
  }
  const session = await openSession(local);
  try {
    const { from, to, backup, reason } = options;
    const input: CopyInput = { cluster, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), ...(backup === undefined ? {} : { backup }), ...(reason === undefined ? {} : { reason }) };
    return await afterStart(session, await startOperation(session, { type: 'copy', input }), screen, options);
  } finally {
    await session.close();
  }
}
