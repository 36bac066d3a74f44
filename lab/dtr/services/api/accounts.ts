import { randomUUID } from 'node:crypto';
import { HttpError, readJson, sendJson, sha256, type Router } from '../../common/http';
import { now, type TokenRow } from '../../common/rows';
import type { Access } from '../access';
import type { Context } from '../context';

/** Accounts as UCP has them, and access tokens, which are DTR's own. */
export function accountRoutes(router: Router, context: Context, access: Access): void {
  const { store } = context;
  router.on('GET', '/api/v0/accounts', async ({ request, response }) => {
    const user = await access.authenticate(request);
    const accounts = await (await context.ucp()).accounts();
    const visible = accounts.filter((account) => user.isAdmin || account.isOrg || account.id === user.id);
    sendJson(response, 200, { accounts: visible, resourceCount: visible.length, nextPageStart: '' });
  });
  router.on('GET', '/api/v0/accounts/:name', async ({ request, response, params }) => {
    await access.authenticate(request);
    const account = await (await context.ucp()).account(params.name!);
    if (!account) throw new HttpError(404, 'NO_SUCH_ACCOUNT', `An account with the name ${params.name} does not exist`);
    sendJson(response, 200, account);
  });
  router.on('GET', '/api/v0/api_tokens', async ({ request, response }) => {
    const user = await access.authenticate(request);
    const own = (await store.all<TokenRow>('client_tokens')).filter((row) => row.accountID === user.id);
    sendJson(response, 200, own.map(({ hashedSecret: _hidden, ...row }) => row));
  });
  router.on('POST', '/api/v0/api_tokens', async ({ request, response }) => {
    const user = await access.authenticate(request);
    const body = await readJson(request);
    const secret = randomUUID();
    const row: TokenRow = {
      hashedSecret: sha256(secret),
      token: `${secret.slice(0, 4)}...`,
      tokenLabel: typeof body.tokenLabel === 'string' ? body.tokenLabel : '',
      accountID: user.id,
      accountName: user.name,
      isActive: true,
      createdAt: now(),
    };
    await store.put('client_tokens', row);
    sendJson(response, 201, { token: secret, tokenLabel: row.tokenLabel, isActive: true });
  });
}
