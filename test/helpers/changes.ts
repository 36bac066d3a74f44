/** Records of changes as tests need them: whole ones, of which a test says what matters. */
import { randomBytes } from 'node:crypto';
import type { ChangeOf, FreezeChange } from '../../domain/changes';
import { vaultPaths } from '../../domain/vault-format';
import type { Vault } from '../../adapters/vault/vault';
import { recordName } from '../../store/changes/place';

const HEAD = {
  format: 1 as const, cluster: 'lab', operation: 'restore_lab_1', workflowId: 'restore/lab/1', runId: 'run-1', backupId: '20261123T020000Z-1a2b3c',
  installation: { id: '11111111-1111-4111-8111-111111111111', host: 'ops-1' }, recordedAt: '2026-11-23T03:00:00.000Z', revision: 1, state: 'begun' as const, onHosts: [], onWorkers: [], notEndedIn: [],
};

export function freezeRecord(more: Partial<FreezeChange> = {}): FreezeChange {
  const crons = [{ action: 'onlinegc', schedule: '0 0 1 * * *', retries: 3, parameters: null, deadline: '2h' }];
  return { ...HEAD, id: newId('freeze'), kind: 'freeze', operation: 'backup_lab_1', workflowId: 'backup/lab/1', crons, readOnlyBefore: null, ...more };
}

export function restoreRecord(more: Partial<ChangeOf<'restore'>> = {}): ChangeOf<'restore'> {
  const first = { id: '00000000000a', node: 'node-1' };
  return { ...HEAD, id: newId('restore'), kind: 'restore', vault: 'main', fences: [], destroys: [first], first, joins: [], targets: [], volume: null, stage: 'destroy', ...more };
}

export function stopRecord(more: Partial<ChangeOf<'stop'>> = {}): ChangeOf<'stop'> {
  return { ...HEAD, id: newId('stop'), kind: 'stop', replica: { id: '00000000000a', node: 'node-1' }, containers: ['node-1/dtr-nginx-00000000000a', 'node-1/dtr-rethinkdb-00000000000a'], ...more };
}

/** As an operation on another worker would leave it. */
export async function leaveRecord(vault: Vault, change: FreezeChange | ChangeOf<'restore'> | ChangeOf<'stop'>): Promise<string> {
  const name = vaultPaths.operation(change.cluster, recordName(change));
  await vault.put(name, `${JSON.stringify(change)}\n`);
  return name;
}

function newId(kind: string): string {
  return `${kind}-${randomBytes(8).toString('hex')}`;
}
