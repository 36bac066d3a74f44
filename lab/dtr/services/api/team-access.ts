import { HttpError, readJson, sendJson, type Router } from '../../common/http';
import type { AccessLevel, TeamAccessRow } from '../../common/rows';
import { allows, type Access } from '../access';
import type { Context } from '../context';
import type { UcpTeam } from '../../common/ucp';
import { requireRepository } from './repositories';

const REPOSITORY = '/api/v0/repositories/:namespace/:name/teamAccess';
const NAMESPACE = '/api/v0/repositoryNamespaces/:namespace/teamAccess';

/** What teams of UCP may do with repositories and namespaces. */
export function teamAccessRoutes(router: Router, context: Context, access: Access): void {
  const { store } = context;
  router.on('GET', REPOSITORY, async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-only');
    const rows = await store.all<TeamAccessRow>('repository_team_access', `${row.namespace}/${row.name}@`);
    sendJson(response, 200, { repository: row, teamAccessList: rows.map(view) });
  });
  router.on('PUT', `${REPOSITORY}/:team`, async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'admin');
    const team = await requireTeam(context, row.namespace, params.team!);
    const full = `${row.namespace}/${row.name}`;
    const entry: TeamAccessRow = { pk: `${full}@${team.id}`, repository: full, repositoryID: row.id, teamID: team.id, teamName: team.name, orgName: row.namespace, accessLevel: levelFrom(await readJson(request)) };
    await store.put('repository_team_access', entry);
    sendJson(response, 200, { ...view(entry), repository: row });
  });
  router.on('DELETE', `${REPOSITORY}/:team`, async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'admin');
    const team = await requireTeam(context, row.namespace, params.team!);
    await store.delete('repository_team_access', `${row.namespace}/${row.name}@${team.id}`);
    response.writeHead(204);
    response.end();
  });

  const requireNamespace = async (request: Parameters<Access['authenticate']>[0], namespace: string): Promise<void> => {
    const user = await access.authenticate(request);
    if (!allows(await access.onNamespace(user, namespace), 'admin')) throw new HttpError(403, 'NOT_AUTHORIZED', 'The client is not authorized.');
  };
  router.on('GET', NAMESPACE, async ({ request, response, params }) => {
    await requireNamespace(request, params.namespace!);
    const rows = await store.all<TeamAccessRow>('namespace_team_access', `${params.namespace}@`);
    sendJson(response, 200, { namespace: params.namespace, teamAccessList: rows.map(view) });
  });
  router.on('PUT', `${NAMESPACE}/:team`, async ({ request, response, params }) => {
    await requireNamespace(request, params.namespace!);
    const team = await requireTeam(context, params.namespace!, params.team!);
    const owner = await (await context.ucp()).account(params.namespace!);
    const entry: TeamAccessRow = { pk: `${params.namespace}@${team.id}`, namespaceID: owner?.id ?? '', teamID: team.id, teamName: team.name, orgName: params.namespace!, accessLevel: levelFrom(await readJson(request)) };
    await store.put('namespace_team_access', entry);
    sendJson(response, 200, view(entry));
  });
  router.on('DELETE', `${NAMESPACE}/:team`, async ({ request, response, params }) => {
    await requireNamespace(request, params.namespace!);
    const team = await requireTeam(context, params.namespace!, params.team!);
    await store.delete('namespace_team_access', `${params.namespace}@${team.id}`);
    response.writeHead(204);
    response.end();
  });
}

async function requireTeam(context: Context, org: string, nameOrId: string): Promise<UcpTeam> {
  const teams = await (await context.ucp()).teams(org).catch(() => []);
  const team = teams.find((candidate) => candidate.name === nameOrId || candidate.id === nameOrId);
  if (!team) throw new HttpError(404, 'NO_SUCH_TEAM', `A team with the name ${nameOrId} does not exist in ${org}`);
  return team;
}

function levelFrom(body: Record<string, unknown>): AccessLevel {
  const level = body.accessLevel;
  if (level === 'read-only' || level === 'read-write' || level === 'admin') return level;
  throw new HttpError(400, 'INVALID_ACCESS_LEVEL', `The access level is read-only, read-write or admin, not ${String(level)}`);
}

function view(row: TeamAccessRow): object {
  return { accessLevel: row.accessLevel, team: { id: row.teamID, name: row.teamName, orgName: row.orgName } };
}
