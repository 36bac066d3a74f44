import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpError, readJson, sendJson, type Router } from '../../common/http';
import { now, type AccessLevel, type RepositoryRow } from '../../common/rows';
import { rowKey } from '../../common/store';
import { allows, type Access, type User } from '../access';
import type { Context } from '../context';
import { REPOSITORY_NAME } from '../registry/guard';
import { sendPaged } from './paging';

/** The repository of a route, for a caller who may do at least `wanted`; what one may not see does not exist. */
export async function requireRepository(context: Context, access: Access, request: IncomingMessage, params: Record<string, string>, wanted: AccessLevel): Promise<{ user: User; row: RepositoryRow }> {
  const user = await access.authenticate(request);
  const row = await context.store.get<RepositoryRow>('repositories', `${params.namespace}/${params.name}`);
  const level = row ? await access.onRepository(user, row) : 'none';
  if (!row || !allows(level, 'read-only')) throw new HttpError(404, 'NO_SUCH_REPOSITORY', `A repository with the name ${params.namespace}/${params.name} does not exist`);
  if (!allows(level, wanted)) throw new HttpError(403, 'NOT_AUTHORIZED', 'The client is not authorized.');
  return { user, row };
}

export function repositoryRoutes(router: Router, context: Context, access: Access): void {
  const { store } = context;
  router.on('GET', '/api/v0/repositories', async ({ request, response, url }) => {
    const rows = await visible(context, access, await access.authenticate(request), '');
    sendPaged(response, url, rows, (row) => `${row.namespace}/${row.name}`, (page) => ({ repositories: page.map(view) }));
  });
  router.on('GET', '/api/v0/repositories/:namespace', async ({ request, response, url, params }) => {
    const user = await access.authenticate(request);
    if (!(await (await context.ucp()).account(params.namespace!))) throw new HttpError(404, 'NO_SUCH_ACCOUNT', `An account with the name ${params.namespace} does not exist`);
    const rows = await visible(context, access, user, `${params.namespace}/`);
    sendPaged(response, url, rows, (row) => `${row.namespace}/${row.name}`, (page) => ({ repositories: page.map(view) }));
  });
  router.on('POST', '/api/v0/repositories/:namespace', async ({ request, response, params }) => {
    const user = await access.authenticate(request);
    sendJson(response, 201, view(await create(context, access, user, params.namespace!, await readJson(request))));
  });
  router.on('GET', '/api/v0/repositories/:namespace/:name', async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-only');
    sendJson(response, 200, view(row));
  });
  router.on('PATCH', '/api/v0/repositories/:namespace/:name', async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'admin');
    const changes = fieldsFrom(await readJson(request));
    const changed = await store.update<RepositoryRow>('repositories', `${row.namespace}/${row.name}`, (before) => (before ? { ...before, ...changes } : null));
    sendJson(response, 200, view(changed ?? row));
  });
  router.on('DELETE', '/api/v0/repositories/:namespace/:name', async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'admin');
    const full = `${row.namespace}/${row.name}`;
    await store.delete('repositories', full);
    for (const [table, prefix] of [['tags', `${full}:`], ['manifests', `${full}@`], ['blob_links', `${full}@`], ['repository_team_access', `${full}@`]] as const) {
      await store.etcd.deletePrefix(rowKey(table, prefix));
    }
    response.writeHead(204);
    response.end();
  });
}

async function visible(context: Context, access: Access, user: User, prefix: string): Promise<RepositoryRow[]> {
  const rows: RepositoryRow[] = [];
  for await (const row of context.store.rows<RepositoryRow>('repositories', prefix)) {
    if (user.isAdmin || allows(await access.onRepository(user, row), 'read-only')) rows.push(row);
  }
  return rows;
}

async function create(context: Context, access: Access, user: User, namespace: string, body: Record<string, unknown>): Promise<RepositoryRow> {
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
    ...fieldsFrom(body),
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

function fieldsFrom(body: Record<string, unknown>): Partial<RepositoryRow> {
  const fields: Partial<RepositoryRow> = {};
  if (body.visibility !== undefined) {
    if (body.visibility !== 'public' && body.visibility !== 'private') throw new HttpError(400, 'INVALID_REPOSITORY_VISIBILITY', `The visibility is public or private`);
    fields.visibility = body.visibility;
  }
  for (const key of ['shortDescription', 'longDescription'] as const) if (typeof body[key] === 'string') fields[key] = body[key];
  for (const key of ['scanOnPush', 'immutableTags', 'enableManifestLists'] as const) if (typeof body[key] === 'boolean') fields[key] = body[key];
  return fields;
}

function view(row: RepositoryRow): object {
  return row;
}
