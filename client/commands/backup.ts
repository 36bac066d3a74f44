import type { BackupInput } from '../../domain/contract';
import { createConsole } from '../console';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig } from '../session';

export interface BackupOptions {
  config?: string;
  json?: boolean;
  detach?: boolean;
  reason?: string;
}

/** Starts a backup and, unless detached, watches it to its end. */
export async function run(cluster: string, options: BackupOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) clusterOf(local, cluster);
  const session = await openSession(local);
  try {
    const input: BackupInput = { cluster, reason: options.reason };
    const started = await startOperation(session, { type: 'backup', input });
    return await afterStart(session, started, screen, options);
  } finally {
    await session.close();
  }
}
