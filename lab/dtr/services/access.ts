import type { IncomingMessage } from 'node:http';
import { basicAuth, HttpError, sha256 } from '../common/http';
import type { AccessLevel, RepositoryRow, TeamAccessRow, TokenRow } from '../common/rows';
import type { Context } from './context';
import { verifyToken } from './token';

export interface User {
  id: string;
  name: string;
  isAdmin: boolean;
}

const LEVELS: Record<AccessLevel | 'none', number> = { none: 0, 'read-only': 1, 'read-write': 2, admin: 3 };
const REMEMBER_MS = 20_000;

export function allows(level: AccessLevel | 'none', wanted: AccessLevel): boolean {
  return LEVELS[level] >= LEVELS[wanted];
}

/** Who is calling and what they may do: users, organisations and teams are UCP's, team access is DTR's own. */
export class Access {
  private readonly known = new Map<string, { user: User; until: number }>();

  constructor(private readonly context: Context) {}

  /** Basic (password or access token) or Bearer; throws 401. */
  async authenticate(request: IncomingMessage): Promise<User> {
    const basic = basicAuth(request);
    const user = basic ? await this.checkPassword(basic.username, basic.password) : await this.checkBearer(request);
    if (user === null) throw new HttpError(401, 'NOT_AUTHENTICATED', 'The client is not authenticated.', { 'www-authenticate': 'Basic realm="dtr"' });
    return user;
  }

  async authenticateAdmin(request: IncomingMessage): Promise<User> {
    const user = await this.authenticate(request);
    if (!user.isAdmin) throw new HttpError(403, 'NOT_AUTHORIZED', 'The client is not authorized.');
    return user;
  }

  /** Null when name or password (or access token) are wrong. */
  async checkPassword(username: string, password: string): Promise<User | null> {
    const key = sha256(`${username}\0${password}`);
    const known = this.known.get(key);
    if (known && known.until > Date.now()) return known.user;
    const user = (await this.byToken(username, password)) ?? (await this.byPassword(username, password));
    if (user) this.known.set(key, { user, until: Date.now() + REMEMBER_MS });
    return user;
  }

  private async byToken(username: string, secret: string): Promise<User | null> {
    const row = await this.context.store.get<TokenRow>('client_tokens', sha256(secret));
    return row?.isActive && row.accountName === username ? this.byName(username) : null;
  }

  private async byPassword(username: string, password: string): Promise<User | null> {
    const ucp = await this.context.ucp();
    const token = await ucp.login(username, password);
    return token === null ? null : this.byName(username);
  }

  private async checkBearer(request: IncomingMessage): Promise<User | null> {
    const match = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '');
    if (!match) return null;
    const claims = verifyToken(match[1]!, await this.signingCert());
    return claims?.sub ? this.byName(claims.sub) : null;
  }

  async signingCert(): Promise<string> {
    return (await this.context.store.property<string>('garantRootCert')) ?? '';
  }

  private async byName(name: string): Promise<User | null> {
    const account = await (await this.context.ucp()).account(name);
    return account && !account.isOrg ? { id: account.id, name: account.name, isAdmin: account.isAdmin === true } : null;
  }

  /** What a user may do with a namespace as a whole (creating repositories needs `admin`). */
  async onNamespace(user: User, namespace: string): Promise<AccessLevel | 'none'> {
    if (user.isAdmin || user.name === namespace) return 'admin';
    const ucp = await this.context.ucp();
    const owner = await ucp.account(namespace);
    if (!owner?.isOrg) return 'none';
    const membership = await ucp.membership(namespace, user.name);
    if (!membership) return 'none';
    if (membership.isAdmin) return 'admin';
    return this.strongest(user, namespace, await this.context.store.all<TeamAccessRow>('namespace_team_access', `${namespace}@`));
  }

  async onRepository(user: User, repository: RepositoryRow): Promise<AccessLevel | 'none'> {
    const whole = await this.onNamespace(user, repository.namespace);
    if (whole === 'admin') return whole;
    const rows = await this.context.store.all<TeamAccessRow>('repository_team_access', `${repository.namespace}/${repository.name}@`);
    const single = rows.length > 0 ? await this.strongest(user, repository.namespace, rows) : 'none';
    const own = LEVELS[single] > LEVELS[whole] ? single : whole;
    return own === 'none' && repository.visibility === 'public' ? 'read-only' : own;
  }

  private async strongest(user: User, org: string, rows: TeamAccessRow[]): Promise<AccessLevel | 'none'> {
    const ucp = await this.context.ucp();
    const mine = await Promise.all(rows.map((row) => ucp.isTeamMember(org, row.teamName, user.name).catch(() => false)));
    return rows.filter((_row, index) => mine[index]).reduce<AccessLevel | 'none'>((best, row) => (LEVELS[row.accessLevel] > LEVELS[best] ? row.accessLevel : best), 'none');
  }
}
