import { z } from 'zod';
import type { ClusterStatus, Cron, ImagescanStatus, Job, RemoteTag, Repository, TeamAccess } from './dtr';

/** What DTR's API sends, read tolerantly: versions differ in what they leave out. */

/** Go's JSON sends `null` for an empty list or map. */
function listOf<T extends z.ZodType>(item: T) {
  return z.array(item).nullish().transform((list) => list ?? []);
}

function mapOf<T extends z.ZodType>(value: T) {
  return z.record(z.string(), value).nullish().transform((map) => map ?? {});
}

/** `{"<name>": [...]}`, or the bare list of other versions. */
export function wrappedList<T extends z.ZodType>(name: string, item: T) {
  return z.union([z.array(item), z.object({ [name]: listOf(item) }).transform((body) => body[name] as z.output<T>[])]);
}

/** Unknown fields are kept: a cron is put back as it was. */
export const cron = z.looseObject({
  action: z.string(),
  schedule: z.string(),
  retries: z.number().nullish().transform((value) => value ?? 0),
  parameters: z.unknown(),
  deadline: z.string().nullish().transform((value) => value ?? ''),
}).transform((value): Cron => ({ ...value, parameters: value.parameters ?? null }));

export const job = z.object({
  id: z.string(),
  action: z.string(),
  status: z.string(),
  scheduledAt: z.string().optional(),
  lastUpdated: z.string().optional(),
  cronID: z.string().optional(),
}).transform((value): Job => ({ ...value, status: normalStatus(value.status) }));

/** Documentation and API description spell these differently. */
function normalStatus(status: string): string {
  if (status === 'canceled' || status === 'cancelled') return 'cancel';
  return status === 'errored' ? 'error' : status;
}

export const clusterStatus = z.object({
  replica_health: mapOf(z.string()),
  replica_timestamp: mapOf(z.string()),
  replica_readonly: mapOf(z.boolean()),
  gc_lock_holder: z.string().nullish(),
}).transform((value): ClusterStatus => ({
  replicaHealth: value.replica_health, replicaTimestamp: value.replica_timestamp, replicaReadonly: value.replica_readonly, gcLockHolder: value.gc_lock_holder ?? '',
}));

export const imagescanStatus = z.object({
  state: z.number().nullish(),
  db_version: z.number().nullish(),
  db_updated_at: z.string().nullish(),
  lastDBUpdateFailed: z.boolean().nullish(),
  lastVulnOverridesDBUpdateFailed: z.boolean().nullish(),
}).transform((value): ImagescanStatus => ({
  state: value.state ?? 0,
  dbVersion: value.db_version ?? null,
  dbUpdatedAt: value.db_updated_at || null,
  lastDbUpdateFailed: value.lastDBUpdateFailed ?? false,
  lastVulnOverridesDbUpdateFailed: value.lastVulnOverridesDBUpdateFailed ?? false,
}));

export const repository = z.looseObject({
  namespace: z.string(),
  name: z.string(),
  visibility: z.string().default('private'),
  namespaceType: z.string().optional(),
}).transform((value): Repository => value);

export const tag = z.object({
  name: z.string(),
  digest: z.string().nullish(),
  manifest: z.object({ digest: z.string() }).partial().nullish(),
  updatedAt: z.string().optional(),
  createdAt: z.string().optional(),
}).transform(({ manifest, digest, ...rest }): RemoteTag => ({ ...rest, digest: digest || manifest?.digest || '' }));

export const teamAccess = z.object({
  accessLevel: z.string(),
  team: z.object({ id: z.string(), name: z.string().default('') }),
}).transform(({ accessLevel, team }): TeamAccess => ({ teamId: team.id, team: team.name, accessLevel }));

/** `/_ping` writes its fields with capitals, `/health` without. */
export const health = z.object({ Healthy: z.boolean(), Error: z.string().nullish(), healthy: z.boolean(), error: z.string().nullish() }).partial();

export const version = z.object({ version: z.string() });
export const started = z.object({ id: z.string() });
export const settings = z.record(z.string(), z.unknown());
