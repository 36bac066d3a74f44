import type { IncomingMessage } from 'node:http';
import { HttpError, readJson, sendJson, type Router } from '../../common/http';
import type { AccessLevel, RepositoryRow } from '../../common/rows';
import { rowKey } from '../../common/store';
import { allows, type Access, type User } from '../access';
import type { Context } from '../context';
import { createRepository, repositoryFields } from '../new-repository';
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
    sendJson(response, 201, view(await createRepository(context, access, user, params.namespace!, await readJson(request))));
  });
  router.on('GET', '/api/v0/repositories/:namespace/:name', async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-only');
    sendJson(response, 200, view(row));
  });
  router.on('PATCH', '/api/v0/repositories/:namespace/:name', async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'admin');
    const changes = repositoryFields(await readJson(request));
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

function view(row: RepositoryRow): object {
  return row;
}
