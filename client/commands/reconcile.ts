import { createConsole } from '../console';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig } from '../session';

export interface ReconcileOptions {
  config?: string;
  json?: boolean;
  detach?: boolean;
}

/** Puts back what an operation that was terminated, or lost with its Temporal, had changed. */
export async function run(cluster: string, options: ReconcileOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) clusterOf(local, cluster);
  const session = await openSession(local);
  try {
    const started = await startOperation(session, { type: 'reconcile', input: { cluster } });
    return await afterStart(session, started, screen, options);
  } finally {
    await session.close();
  }
}
