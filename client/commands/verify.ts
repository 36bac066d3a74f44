import { backupIdSchema } from '../../domain/contract';
import type { VerifyInput } from '../../domain/verify-input';
import type { VerifyLevel } from '../../domain/verify-level';
import { createConsole } from '../console';
import { startOperation } from '../operations';
import { afterStart } from '../run-to-end';
import { clusterOf, openSession, optionalConfig, requiredConfig } from '../session';
import { clusterOfBackup, inVault, vaultNamed } from '../vaults';

export interface VerifyOptions {
  config?: string;
  level: VerifyLevel;
  vault?: string;
  part?: { n: number; t: number };
  withoutKeys?: boolean;
  reason?: string;
  json?: boolean;
  detach?: boolean;
}

/** Verifies one backup by its id, or the newest complete one of a cluster. */
export async function run(target: string, options: VerifyOptions): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const isBackup = backupIdSchema.safeParse(target).success;
  const local = isBackup ? await requiredConfig(options.config) : await optionalConfig(options.config);
  if (local && options.vault !== undefined) vaultNamed(local, options.vault);
  if (local && !isBackup) clusterOf(local, target);
  const place = local && isBackup ? { cluster: await clusterOfBackup(inVault(local, options.vault), target), backup: target } : { cluster: target };
  const session = await openSession(local);
  try {
    const { level, vault, part, withoutKeys, reason } = options;
    const input: VerifyInput = { ...place, level, ...(vault === undefined ? {} : { vault }), ...(part ? { part } : {}), ...(withoutKeys ? { withoutKeys } : {}), ...(reason === undefined ? {} : { reason }) };
    const started = await startOperation(session, { type: 'verify', input });
    return await afterStart(session, started, screen, options);
  } finally {
    await session.close();
  }
}
