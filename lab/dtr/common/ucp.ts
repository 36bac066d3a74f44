import { fetchUrl, type Answer, type Outgoing } from './http';

/** How to reach UCP and whom to be there. */
export interface UcpAccess {
  /** `https://host[:port]`. */
  url: string;
  ca?: string;
  insecure?: boolean;
  token?: string;
  cert?: string;
  key?: string;
}

export interface UcpAccount {
  id: string;
  name: string;
  fullName?: string;
  isOrg: boolean;
  isAdmin?: boolean;
}

export interface UcpTeam {
  id: string;
  name: string;
  orgID?: string;
}

interface Member {
  member: { id: string; name: string };
  isAdmin?: boolean;
}

/** UCP answered with an error status. */
export class UcpError extends Error {
  override readonly name = 'UcpError';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The calls to UCP that DTR makes: login, accounts, organisations, teams. */
export class Ucp {
  constructor(readonly access: UcpAccess) {}

  as(token: string): Ucp {
    return new Ucp({ ...this.access, token });
  }

  /** Session token; null when name or password are wrong. */
  async login(username: string, password: string): Promise<string | null> {
    const answer = await this.send('/auth/login', { method: 'POST', body: JSON.stringify({ username, password }), headers: { 'content-type': 'application/json' } });
    if (answer.status === 401) return null;
    return this.parse<{ auth_token: string }>(answer).auth_token;
  }

  async ping(): Promise<boolean> {
    return (await this.send('/_ping')).status === 200;
  }

  async clientBundle(): Promise<Buffer> {
    const answer = await this.send('/api/clientbundle');
    if (answer.status !== 200) throw new UcpError(answer.status, `UCP refused a client bundle (${answer.status})`);
    return answer.body;
  }

  /** Null when there is no such account. */
  async account(nameOrId: string): Promise<UcpAccount | null> {
    return this.optional<UcpAccount>(`/accounts/${encodeURIComponent(nameOrId)}`);
  }

  accounts(): Promise<UcpAccount[]> {
    return this.paged<UcpAccount>('/accounts/', 'accounts');
  }

  teams(org: string): Promise<UcpTeam[]> {
    return this.paged<UcpTeam>(`/accounts/${encodeURIComponent(org)}/teams`, 'teams');
  }

  async isTeamMember(org: string, team: string, user: string): Promise<boolean> {
    const members = await this.paged<Member>(`/accounts/${encodeURIComponent(org)}/teams/${encodeURIComponent(team)}/members`, 'members');
    return members.some((m) => m.member.name === user);
  }

  /** Null when the user does not belong to the organisation. */
  async membership(org: string, user: string): Promise<{ isAdmin: boolean } | null> {
    const found = await this.optional<Member>(`/accounts/${encodeURIComponent(org)}/members/${encodeURIComponent(user)}`);
    return found ? { isAdmin: found.isAdmin === true } : null;
  }

  private async optional<T>(path: string): Promise<T | null> {
    const answer = await this.send(path);
    return answer.status === 404 ? null : this.parse<T>(answer);
  }

  private async paged<T>(path: string, field: string): Promise<T[]> {
    const all: T[] = [];
    let start = '';
    do {
      const page = this.parse<Record<string, unknown>>(await this.send(`${path}?limit=100&start=${encodeURIComponent(start)}`));
      all.push(...((page[field] ?? []) as T[]));
      start = typeof page.nextPageStart === 'string' ? page.nextPageStart : '';
    } while (start !== '');
    return all;
  }

  private send(path: string, options: Outgoing = {}): Promise<Answer> {
    const { url, ca, insecure, token, cert, key } = this.access;
    const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
    return fetchUrl(`${url}${path}`, { ...options, headers, ...(ca ? { ca } : {}), ...(insecure ? { insecure } : {}), ...(cert && key ? { cert, key } : {}) });
  }

  private parse<T>(answer: Answer): T {
    if (answer.status >= 400) throw new UcpError(answer.status, `UCP answered ${answer.status}: ${answer.body.toString().slice(0, 200)}`);
    return JSON.parse(answer.body.toString()) as T;
  }
}
