/** `operations/<operation>.json` in the vault: what was there before a freeze, so that even an empty Temporal can put it back. */
import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import type { Cluster } from '../cluster';
import type { FreezeRecord } from '../contract';

const MAX_BYTES = 4 * 1024 * 1024;

const cron = z.looseObject({ action: z.string(), schedule: z.string(), retries: z.number(), parameters: z.unknown(), deadline: z.string() }).transform((value) => ({ ...value, parameters: value.parameters ?? null }));
const record = z.strictObject({ operation: z.string(), cluster: z.string(), recordedAt: z.string(), crons: z.array(cron), readOnlyBefore: z.boolean().nullable() });

/** All records of a cluster, whoever left them, oldest first. Throws IntegrityMismatch for one that cannot be read. */
export async function readRecords({ vault, name }: Cluster): Promise<FreezeRecord[]> {
  const records: FreezeRecord[] = [];
  for await (const entry of vault.list(vaultPaths.operations(name))) {
    if (entry.name.endsWith('.json')) records.push(parse(await vault.readAll(entry.name, MAX_BYTES), entry.name));
  }
  return records.sort((a, b) => (a.recordedAt < b.recordedAt ? -1 : 1));
}

export async function writeRecord({ vault, name }: Cluster, content: FreezeRecord): Promise<void> {
  await vault.put(vaultPaths.operation(name, content.operation), `${JSON.stringify(content, null, 2)}\n`);
}

/** Absent counts as success. */
export async function removeRecord({ vault, name }: Cluster, operation: string): Promise<void> {
  await vault.remove(vaultPaths.operation(name, operation));
}

function parse(content: Buffer, file: string): FreezeRecord {
  try {
    return record.parse(JSON.parse(content.toString('utf8')));
  } catch (cause) {
    throw new DrydockError('IntegrityMismatch', `${file} in the vault cannot be read; it says which crons an operation switched off`, {
      remedy: 'look at the file, set the crons by hand, then remove it', cause,
    });
  }
}
