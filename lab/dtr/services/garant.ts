import { basicAuth, HttpError, Router, sendJson, serve } from '../common/http';
import type { RepositoryRow } from '../common/rows';
import { Access, allows, type User } from './access';
import { PORTS, type Context } from './context';
import { createRepository } from './new-repository';
import { LIFETIME_SECONDS, signToken, type TokenAccess } from './token';

/** The token server at /auth/token: who may pull or push what, as UCP's users and DTR's team access say. */
export function startGarant(context: Context): void {
  const access = new Access(context);
  const router = new Router();
  router.on('GET', '/auth/token', async ({ request, response, url }) => {
    const basic = basicAuth(request);
    const user = basic ? await access.checkPassword(basic.username, basic.password) : null;
    // Who gives no name may pull what is public; a wrong password is refused.
    if (basic && !user) throw new HttpError(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': 'Basic realm="dtr"' });
    const granted = await Promise.all(url.searchParams.getAll('scope').flatMap((scope) => scope.split(' ')).filter((scope) => scope !== '').map((scope) => grant(context, access, user, scope)));
    const [key, der] = await Promise.all([context.store.property<string>('garantSigningKey'), context.store.property<string>('garantCertDER')]);
    const token = signToken(key ?? '', der ?? '', user?.name ?? '', url.searchParams.get('service') ?? 'dtr', granted.flat());
    sendJson(response, 200, { token, access_token: token, expires_in: LIFETIME_SECONDS, issued_at: new Date().toISOString() });
  });
  router.on('GET', '/health', async ({ response }) => {
    await context.ucp().then((ucp) => ucp.ping());
    sendJson(response, 200, { healthy: true });
  });
  serve(PORTS.garant, router);
}

/** The part of a wanted scope that the user has; nothing for what does not exist, as it stays hidden. */
async function grant(context: Context, access: Access, user: User | null, scope: string): Promise<TokenAccess[]> {
  const match = /^(\w+):(.+):([\w*,]+)$/.exec(scope);
  if (!match) return [];
  const [, type, name, wanted] = match as unknown as [string, string, string, string];
  const actions = wanted.split(',');
  if (type === 'registry') return user?.isAdmin === true ? [{ type, name, actions }] : [];
  if (type !== 'repository') return [];
  const repository = (await context.store.get<RepositoryRow>('repositories', name)) ?? (user && actions.includes('push') ? await createOnPush(context, access, user, name) : null);
  if (!repository) return [];
  const level = user ? await access.onRepository(user, repository) : repository.visibility === 'public' ? 'read-only' : 'none';
  const allowed = actions.filter((action) => (action === 'pull' ? allows(level, 'read-only') : allows(level, 'read-write')));
  return allowed.length > 0 ? [{ type, name, actions: allowed }] : [];
}

/** Where the settings say so, a push makes the repository that is missing, a private one, if the user might make it by hand. */
async function createOnPush(context: Context, access: Access, user: User, name: string): Promise<RepositoryRow | null> {
  const [wanted, readOnly] = await Promise.all([context.store.property<boolean>('createRepositoryOnPush'), context.store.property<boolean>('readOnlyRegistry')]);
  const [, namespace, short] = /^([^/]+)\/([^/]+)$/.exec(name) ?? [];
  if (wanted !== true || readOnly === true || !namespace || !short) return null;
  try {
    return await createRepository(context, access, user, namespace, { name: short, visibility: 'private' });
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    // Two pushes at once: the other one made it.
    return error.code === 'REPOSITORY_EXISTS' ? context.store.get<RepositoryRow>('repositories', name) : null;
  }
}
