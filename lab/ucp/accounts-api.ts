/** UCP's own HTTP API: login, client bundle, accounts, organisations and teams. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Account, AccountStore, Team } from './accounts';
import { type BundleAuthority, clientBundle } from './bundle';
import { HttpError, type JsonObject, readJson, sendEmpty, sendJson, text } from './http';
import type { Sessions } from './sessions';

export class AccountsApi {
  constructor(
    private readonly accounts: AccountStore,
    private readonly sessions: Sessions,
    private readonly authority: BundleAuthority,
  ) {}

  /** True when the path is one of ours and has been answered. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
    const path = url.pathname.replace(/^\/enzi\/v0/, '').replace(/\/+$/, '');
    const method = request.method ?? 'GET';
    if (path === '/auth/login' && method === 'POST') {
      const { username, password } = await readJson(request);
      sendJson(response, 200, { auth_token: this.sessions.login(text(username), text(password)) });
      return true;
    }
    if (path === '/auth/logout' && method === 'POST') {
      this.sessions.logout((request.headers.authorization ?? '').replace(/^bearer /i, ''));
      sendEmpty(response);
      return true;
    }
    if (path === '/api/clientbundle') {
      const { name } = this.sessions.account(request);
      const bundle = await clientBundle(this.authority, name);
      response.writeHead(200, {
        'content-type': 'application/zip',
        'content-length': bundle.length,
        'content-disposition': `attachment; filename=ucp-bundle-${name}.zip`,
      });
      response.end(bundle);
      return true;
    }
    if (path === '/id') {
      sendJson(response, 200, this.view(this.sessions.account(request)));
      return true;
    }
    if (path !== '/accounts' && !path.startsWith('/accounts/')) return false;
    await this.accountPath(request, response, url, path.split('/').slice(2).map(decodeURIComponent));
    return true;
  }

  private async accountPath(request: IncomingMessage, response: ServerResponse, url: URL, parts: string[]): Promise<void> {
    const caller = this.sessions.account(request);
    const method = request.method ?? 'GET';
    if (method !== 'GET') requireAdmin(caller);
    const [name, kind, item, sub, member] = parts;
    if (name === undefined) {
      if (method === 'GET') return this.list(response, url, caller);
      if (method === 'POST') return sendJson(response, 201, this.create(await readJson(request)));
    } else if (kind === undefined) {
      if (method === 'GET') return sendJson(response, 200, this.view(this.accounts.get(name)));
      if (method === 'DELETE') return done(response, () => this.accounts.remove(name));
    } else if (kind === 'members') {
      return this.members(request, response, url, name, item);
    } else if (kind === 'teams') {
      return item === undefined || sub === undefined
        ? this.teams(request, response, url, name, item)
        : this.teamMembers(request, response, url, name, item, member);
    }
    throw new HttpError(405, `${method} is not possible here`);
  }

  private list(response: ServerResponse, url: URL, caller: Account): void {
    const filter = url.searchParams.get('filter') ?? 'all';
    const wanted: Record<string, (account: Account) => boolean> = {
      all: () => true,
      users: (account) => !account.isOrg,
      orgs: (account) => account.isOrg,
      admins: (account) => account.isAdmin,
      'non-admins': (account) => !account.isOrg && !account.isAdmin,
    };
    const test = wanted[filter];
    if (test === undefined) throw new HttpError(400, `filter ${filter} is not known`, 'INVALID_FILTER');
    // Other people are an administrator's business.
    const visible = this.accounts.list().filter((account) => caller.isAdmin || account.isOrg || account.id === caller.id);
    const { items, next } = page(visible.filter(test), (account) => account.name, url);
    if (next !== '') response.setHeader('X-Next-Page-Start', next);
    sendJson(response, 200, {
      accounts: items.map((account) => this.view(account)),
      usersCount: visible.filter((account) => !account.isOrg).length,
      orgsCount: visible.filter((account) => account.isOrg).length,
      resourceCount: visible.length,
      nextPageStart: next,
    });
  }

  private create(form: JsonObject): JsonObject {
    const name = text(form.name);
    const fullName = text(form.fullName);
    const account =
      form.isOrg === true
        ? this.accounts.createOrg(name, fullName)
        : this.accounts.createUser(name, text(form.password), { fullName, isAdmin: form.isAdmin === true });
    return this.view(account);
  }

  private async members(request: IncomingMessage, response: ServerResponse, url: URL, org: string, user: string | undefined): Promise<void> {
    const members = this.accounts.members(org).map(({ account, isAdmin }) => ({ member: this.view(account), isAdmin, isPublic: false }));
    if (user === undefined && request.method === 'GET') {
      const { items, next } = page(members, (member) => text(member.member.name), url);
      return sendJson(response, 200, { members: items, resourceCount: members.length, nextPageStart: next });
    }
    if (user !== undefined && request.method === 'GET') {
      const found = members.find((member) => member.member.name === user || member.member.id === user);
      if (found === undefined) throw new HttpError(404, `${user} is no member of ${org}`, 'NO_SUCH_MEMBER');
      return sendJson(response, 200, found);
    }
    if (user !== undefined && request.method === 'PUT') {
      const form = await readJson(request);
      this.accounts.setMember(org, user, form.isAdmin === true);
      return sendJson(response, 200, { member: this.view(this.accounts.get(user)), isAdmin: form.isAdmin === true, isPublic: false });
    }
    if (user !== undefined && request.method === 'DELETE') return done(response, () => this.accounts.removeMember(org, user));
    throw new HttpError(405, 'not possible here');
  }

  private async teams(request: IncomingMessage, response: ServerResponse, url: URL, org: string, team: string | undefined): Promise<void> {
    if (team !== undefined) {
      if (request.method === 'GET') return sendJson(response, 200, teamView(this.accounts.team(org, team)));
      if (request.method === 'DELETE') return done(response, () => this.accounts.removeTeam(org, team));
    } else if (request.method === 'POST') {
      const form = await readJson(request);
      return sendJson(response, 201, teamView(this.accounts.createTeam(org, text(form.name), text(form.description))));
    } else if (request.method === 'GET') {
      const teams = this.accounts.teams(org);
      const { items, next } = page(teams, (item) => item.name, url);
      return sendJson(response, 200, { teams: items.map(teamView), resourceCount: teams.length, nextPageStart: next });
    }
    throw new HttpError(405, 'not possible here');
  }

  private teamMembers(request: IncomingMessage, response: ServerResponse, url: URL, org: string, teamName: string, user: string | undefined): void {
    const team = this.accounts.team(org, teamName);
    if (user === undefined && request.method === 'GET') {
      const members = team.members.map((id) => ({ member: this.view(this.accounts.get(id)), isAdmin: false, isPublic: false }));
      const { items, next } = page(members, (member) => text(member.member.name), url);
      return sendJson(response, 200, { members: items, resourceCount: members.length, nextPageStart: next });
    }
    if (user !== undefined && request.method === 'PUT') return done(response, () => this.accounts.addTeamMember(org, team.name, user));
    if (user !== undefined && request.method === 'DELETE') return done(response, () => this.accounts.removeTeamMember(org, team.name, user));
    throw new HttpError(405, 'not possible here');
  }

  private view({ id, name, fullName, isOrg, isAdmin, isActive }: Account): JsonObject {
    if (!isOrg) return { id, name, fullName, isOrg, isAdmin, isActive, isImported: false };
    return { id, name, fullName, isOrg, membersCount: this.accounts.members(name).length, teamsCount: this.accounts.teams(name).length };
  }
}

export function requireAdmin(account: Account): void {
  if (!account.isAdmin) throw new HttpError(403, 'access denied: the client is not an administrator', 'NOT_AUTHORIZED');
}

function teamView({ id, orgID, name, description, members }: Team): JsonObject {
  return { id, orgID, name, description, membersCount: members.length };
}

/** One page: `start` is the first key of it, `limit` its length. */
function page<T>(items: T[], key: (item: T) => string, url: URL): { items: T[]; next: string } {
  const start = url.searchParams.get('start') ?? '';
  const limit = Math.min(Math.max(Number(url.searchParams.get('limit') ?? 10) || 10, 1), 100);
  const from = items.filter((item) => key(item) >= start);
  const following = from[limit];
  return { items: from.slice(0, limit), next: following === undefined ? '' : key(following) };
}

function done(response: ServerResponse, act: () => void): void {
  act();
  sendEmpty(response);
}
