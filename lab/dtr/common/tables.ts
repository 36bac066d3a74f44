import { randomUUID } from 'node:crypto';

export type Row = Record<string, unknown>;

/** How rows of a table are told apart: by one field, or by several joined. */
const KEYS: Record<string, (row: Row) => string> = {
  blob_links: (row) => field(row, 'pk'),
  blobs: (row) => field(row, 'id'),
  client_tokens: (row) => field(row, 'hashedSecret'),
  crons: (row) => field(row, 'action'),
  manifests: (row) => field(row, 'pk'),
  namespace_team_access: (row) => field(row, 'pk'),
  private_keys: (row) => field(row, 'key_id'),
  properties: (row) => field(row, 'key'),
  repositories: (row) => `${field(row, 'namespace')}/${field(row, 'name')}`,
  repository_team_access: (row) => field(row, 'pk'),
  tags: (row) => field(row, 'pk'),
  tuf_files: (row) => field(row, 'gun_role_version'),
  user_settings: (row) => field(row, 'userID'),
};

/** The tables of a 2.9 archive. Everything else in the store (jobs, locks, health) is not backed up. */
const TABLES_2_9 = [
  'blob_links', 'blobs', 'changefeed', 'client_tokens', 'content_caches', 'crons', 'events', 'helm_charts', 'layer_vuln_overrides', 'manifests', 'metrics',
  'namespace_team_access', 'poll_mirroring_policies', 'private_keys', 'promotion_policies', 'properties', 'pruning_policies', 'push_mirroring_policies',
  'repositories', 'repository_team_access', 'scanned_images', 'scanned_layers', 'tags', 'tuf_files', 'user_settings', 'webhooks',
] as const;

/** Before 2.6 blobs are found by their digest on disk, so there are no tables of them; charts and pruning came later. */
const TABLES_2_5 = [
  'changefeed', 'client_tokens', 'crons', 'events', 'layer_vuln_overrides', 'manifests', 'metrics', 'namespace_team_access', 'private_keys', 'promotion_policies',
  'properties', 'push_mirroring_policies', 'repositories', 'repository_team_access', 'scanned_images', 'scanned_layers', 'tags', 'tuf_files', 'webhooks',
] as const;

export function minorOf(version: string): number {
  return Number(version.split('.')[1] ?? '0');
}

/** True from 2.6 on: blobs by id, digests only in the metadata. */
export function storesBlobsById(version: string): boolean {
  return minorOf(version) >= 6;
}

export function tablesOf(version: string): readonly string[] {
  return storesBlobsById(version) ? TABLES_2_9 : TABLES_2_5;
}

/** Before 2.8 only these crons were in an archive (dtr.md 3.2): garbage collection and pruning were lost. */
const CRONS_IN_OLD_ARCHIVES = ['update_vuln_db', 'license_update'];

export function isArchived(version: string, table: string, row: Row): boolean {
  return table !== 'crons' || minorOf(version) >= 8 || CRONS_IN_OLD_ARCHIVES.includes(String(row.action));
}

function field(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw new Error(`a row has no ${name}`);
  return value;
}

/** The primary key of a row; rows of tables without a rule get their `id`, or a new one. */
export function primaryKey(table: string, row: Row): string {
  const rule = KEYS[table];
  if (rule) return rule(row);
  return typeof row.id === 'string' ? row.id : randomUUID();
}
