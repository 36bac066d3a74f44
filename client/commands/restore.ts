import type { RestoreInput } from '../../domain/contract';
import { createConsole } from '../console';
import { GateAsker } from '../gate-asker';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig } from '../session';
import { parseTarget } from '../targets';
import { vaultNamed } from '../vaults';

export interface RestoreOptions {
  config?: string;
  backup: string;
  vault?: string;
  target?: string[];
  force?: boolean;
  acceptMissingOwners?: boolean;
  acceptUnsigned?: boolean;
  reason?: string;
  detach?: boolean;
  approveAs?: string;
  json?: boolean;
}

/** Starts a restore and, unless detached, watches it through its gates to its end. */
export async function run(cluster: string, options: RestoreOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await optionalConfig(options.config);
  if (local) clusterOf(local, cluster);
  if (local && options.vault !== undefined) vaultNamed(local, options.vault);
  const targets = await Promise.all((options.target ?? []).map(parseTarget));
  const session = await openSession(local);
  try {
    const input: RestoreInput = {
      cluster,
      backup: options.backup,
      vault: options.vault,
      targets: targets.length > 0 ? targets : undefined,
      force: options.force,
      acceptMissingOwners: options.acceptMissingOwners,
      acceptUnsigned: options.acceptUnsigned,
      reason: options.reason,
    };
    const started = await startOperation(session, { type: 'restore', input });
    const asker = options.approveAs !== undefined && screen.interactive ? new GateAsker(session, screen, options.approveAs) : undefined;
    return await afterStart(session, started, screen, { ...options, onSnapshot: asker && ((snapshot, progress) => asker.ask(snapshot, progress)) });
  } finally {
    await session.close();
  }
}
