import { randomBytes, randomUUID } from 'node:crypto';
import { HttpError } from '../common/http';
import { now, type RepositoryRow } from '../common/rows';
import { rowKey } from '../common/store';
import { allows, type Access, type User } from './access';
import type { Context } from './context';
import { REPOSITORY_NAME } from './registry/guard';

/** Makes a repository of a user or an organisation, with the rows that Notary would have for it. Throws 400, 403 or 404 as the API answers. */
export async function createRepository(context: Context, access: Access, user: User, namespace: string, body: Record<string, unknown>): Promise<RepositoryRow> {
  const owner = await (await context.ucp()).account(namespace);
  if (!owner) throw new HttpError(404, 'NO_SUCH_ACCOUNT', `An account with the name ${namespace} does not exist`);
  if (!allows(await access.onNamespace(user, namespace), 'admin')) throw new HttpError(403, 'NOT_AUTHORIZED', 'The client is not authorized.');
  const name = body.name;
  if (typeof name !== 'string' || !REPOSITORY_NAME.test(`${namespace}/${name}`)) throw new HttpError(400, 'INVALID_REPOSITORY_NAME', `${String(name)} is not a repository name`);
  const row: RepositoryRow = {
    id: randomUUID(),
    namespaceAccountID: owner.id,
    namespace,
    namespaceType: owner.isOrg ? 'organization' : 'user',
    name,
    visibility: 'public',
    shortDescription: '',
    longDescription: '',
    scanOnPush: false,
    immutableTags: false,
    enableManifestLists: true,
    tagLimit: 0,
    pulls: 0,
    pushes: 0,
    createdAt: now(),
    ...repositoryFields(body),
  };
  const key = rowKey('repositories', `${namespace}/${name}`);
  const ops = [context.store.putOp('repositories', row), ...(await notaryOps(context, row))];
  if (!(await context.store.etcd.transact([{ key, revision: '0' }], ops))) throw new HttpError(400, 'REPOSITORY_EXISTS', `A repository with the name ${namespace}/${name} already exists`);
  return row;
}

/** Notary idles in this stand-in; the rows that its server and signer would have for a repository are there all the same. */
async function notaryOps(context: Context, row: RepositoryRow): Promise<ReturnType<Context['store']['putOp']>[]> {
  const host = (await context.store.property<string>('dtrHost')) ?? '';
  const gun = `${host}/${row.namespace}/${row.name}`;
  const keyId = randomBytes(32).toString('hex');
  const root = { signed: { _type: 'Root', consistent_snapshot: false, version: 1, keys: {}, roles: {} }, signatures: [] };
  return [
    context.store.putOp('private_keys', { key_id: keyId, gun, role: 'timestamp', algorithm: 'ecdsa', encryption_alg: 'A256GCM', keywrap_alg: 'PBES2-HS256+A128KW', private: randomBytes(121).toString('base64'), created_at: now() }),
    context.store.putOp('tuf_files', { gun_role_version: `${gun}!root!1`, gun, role: 'root', version: 1, sha256: randomBytes(32).toString('hex'), data: Buffer.from(JSON.stringify(root)).toString('base64'), created_at: now() }),
    context.store.putOp('changefeed', { id: `${now()}-${keyId.slice(0, 12)}`, gun, version: 1, category: 'update', created_at: now() }),
  ];
}

/** The fields that a caller may set. Throws 400. */
export function repositoryFields(body: Record<string, unknown>): Partial<RepositoryRow> {
  const fields: Partial<RepositoryRow> = {};
  if (body.visibility !== undefined) {
    if (body.visibility !== 'public' && body.visibility !== 'private') throw new HttpError(400, 'INVALID_REPOSITORY_VISIBILITY', `The visibility is public or private`);
    fields.visibility = body.visibility;
  }
  for (const key of ['shortDescription', 'longDescription'] as const) if (typeof body[key] === 'string') fields[key] = body[key];
  for (const key of ['scanOnPush', 'immutableTags', 'enableManifestLists'] as const) if (typeof body[key] === 'boolean') fields[key] = body[key];
  return fields;
}
