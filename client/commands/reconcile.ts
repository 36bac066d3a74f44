import { createConsole } from '../console';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig } from '../session';

export interface ReconcileOptions {
  config?: string;
  /** Operation or workflow id of a restore that people have dealt with. */
  endRestore?: string;
  json?: boolean;
  detach?: boolean;
}

/** Puts back what an operation that was terminated, or lost with its Temporal, had changed; says what lies behind a point of no return. */
export async function run(cluster: string, options: ReconcileOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) clusterOf(local, cluster);
  const session = await openSession(local);
  try {
    const started = await startOperation(session, { type: 'reconcile', input: { cluster, ...(options.endRestore === undefined ? {} : { endRestore: options.endRestore }) } });
    return await afterStart(session, started, screen, options);
  } finally {
    await session.close();
  }
}
