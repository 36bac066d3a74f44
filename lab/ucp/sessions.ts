/** Who is asking: session tokens, basic authentication and client certificates. */
import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Account, AccountStore } from './accounts';
import { HttpError } from './http';

export class Sessions {
  private readonly tokens = new Map<string, string>();
  /** Basic logins that were checked lately: a password hash costs milliseconds, and DTR asks for every request. */
  private readonly checked = new Map<string, { accountId: string; until: number }>();

  constructor(private readonly accounts: AccountStore) {}

  /** Throws 401 on a wrong name or password. */
  login(username: string, password: string): string {
    const account = this.accounts.checkPassword(username, password);
    if (account === undefined) throw new HttpError(401, 'Invalid Username or Password', 'INVALID_CREDENTIALS');
    const token = randomUUID();
    this.tokens.set(token, account.id);
    return token;
  }

  logout(token: string): void {
    this.tokens.delete(token);
  }

  /** The account behind a request; throws 401 where there is none. */
  account(request: IncomingMessage): Account {
    const account = this.byHeader(request.headers.authorization ?? '') ?? this.byCertificate(request.socket as TLSSocket);
    if (account === undefined) throw new HttpError(401, 'unauthorized: no session token, password or client certificate of this UCP', 'NOT_AUTHENTICATED');
    return account;
  }

  private byHeader(header: string): Account | undefined {
    const [scheme, value = ''] = header.split(' ', 2) as [string, string?];
    // The session token's own scheme is the one of UCP's authentication service.
    if (/^(bearer|sessiontoken)$/i.test(scheme)) {
      const id = this.tokens.get(value);
      return id === undefined ? undefined : this.accounts.find(id);
    }
    return /^basic$/i.test(scheme) ? this.byPassword(value) : undefined;
  }

  private byPassword(value: string): Account | undefined {
    const key = createHash('sha256').update(value).digest('hex');
    const known = this.checked.get(key);
    if (known !== undefined && known.until > Date.now()) return this.accounts.find(known.accountId);
    const plain = Buffer.from(value, 'base64').toString('utf8');
    const colon = plain.indexOf(':');
    const account = this.accounts.checkPassword(plain.slice(0, colon), plain.slice(colon + 1));
    if (account !== undefined) this.checked.set(key, { accountId: account.id, until: Date.now() + 10_000 });
    return account;
  }

  private byCertificate(socket: TLSSocket): Account | undefined {
    if (!socket.authorized) return undefined;
    const name = socket.getPeerCertificate().subject?.CN;
    return typeof name === 'string' ? this.accounts.find(name) : undefined;
  }
}
