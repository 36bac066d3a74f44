import type { ForgetInput } from '../../domain/forget';
import { createConsole } from '../console';
import { GateAsker } from '../gate-asker';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { openSession, requiredConfig } from '../session';
import { clusterOfBackup, clusterOfForgotten, inVault } from '../vaults';

export interface ForgetOptions {
  config?: string;
  vault?: string;
  undo?: boolean;
  reason?: string;
  json?: boolean;
  detach?: boolean;
  approveAs?: string;
}

/** Gives one backup up, or with `--undo` takes that back. */
export async function run(backup: string, options: ForgetOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const local = await requiredConfig(options.config);
  const cluster = options.undo ? await clusterOfForgotten(local, backup, options.vault) : await clusterOfBackup(inVault(local, options.vault), backup);
  const session = await openSession(local);
  try {
    const { vault, undo, reason } = options;
    const input: ForgetInput = { cluster, backup, ...(vault === undefined ? {} : { vault }), ...(undo ? { undo } : {}), ...(reason === undefined ? {} : { reason }) };
    const started = await startOperation(session, { type: 'forget', input });
    const asker = options.approveAs !== undefined && screen.interactive ? new GateAsker(session, screen, options.approveAs) : undefined;
    return await afterStart(session, started, screen, { ...options, onSnapshot: asker && ((snapshot, progress) => asker.ask(snapshot, progress)) });
  } finally {
    await session.close();
  }
}
