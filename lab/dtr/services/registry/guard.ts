import type { IncomingMessage } from 'node:http';
import { HttpError } from '../../common/http';
import type { RepositoryRow } from '../../common/rows';
import { cached, type Context } from '../context';
import { verifyToken, type Claims } from '../token';

export const REPOSITORY_NAME = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/;
export const GC_READ_ONLY_KEY = '/dtr/gc/readOnly';

/** What stands in front of every registry request: token, existing repository, read-only mode. */
export class Guard {
  private readonly cert: () => Promise<string>;
  private readonly host: () => Promise<string>;

  constructor(private readonly context: Context) {
    this.cert = cached(10_000, async () => (await context.store.property<string>('garantRootCert')) ?? '');
    this.host = cached(5000, async () => (await context.store.property<string>('dtrHost')) ?? '');
  }

  /** Claims of the caller; throws 401 with the challenge when they do not hold what is needed. */
  async require(request: IncomingMessage, repository: string | null, action: 'pull' | 'push' | '*'): Promise<Claims> {
    const match = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '');
    const claims = match ? verifyToken(match[1]!, await this.cert()) : null;
    const type = repository === null ? 'registry' : 'repository';
    const name = repository ?? 'catalog';
    const login = repository === null && action === 'pull';
    if (claims && ((login && claims.sub !== '') || claims.access.some((item) => item.type === type && item.name === name && (item.actions.includes(action) || item.actions.includes('*'))))) return claims;
    const scope = login ? '' : `,scope="${type}:${name}:${action === 'push' ? 'pull,push' : action}"`;
    const challenge = `Bearer realm="${await this.realm(request)}",service="${await this.service()}"${scope}${claims ? ',error="insufficient_scope"' : ''}`;
    // A known caller without the right is told so in the body; the status stays 401, as Distribution's does.
    const code = claims ? 'DENIED' : 'UNAUTHORIZED';
    throw new HttpError(401, code, claims ? 'requested access to the resource is denied' : 'authentication required', { 'www-authenticate': challenge });
  }

  async repository(name: string): Promise<RepositoryRow> {
    const row = await this.context.store.get<RepositoryRow>('repositories', name);
    if (!row) throw new HttpError(404, 'NAME_UNKNOWN', 'repository name not known to registry', {}, { name });
    return row;
  }

  /** Throws 405 while the registry takes no changes: by setting, or while an old-style collection runs. */
  async requireWritable(): Promise<void> {
    if (await this.isReadOnly()) throw new HttpError(405, 'UNSUPPORTED', 'The registry is in read-only mode.');
  }

  async isReadOnly(): Promise<boolean> {
    const [setting, collecting] = await Promise.all([this.context.store.property<boolean>('readOnlyRegistry'), this.context.store.etcd.get(GC_READ_ONLY_KEY)]);
    return setting === true || collecting !== null;
  }

  /** The token server under the external URL, or under the address that was called when there is none. */
  async realm(request: IncomingMessage): Promise<string> {
    const host = await this.host();
    return `https://${host === '' ? request.headers.host : host}/auth/token`;
  }

  async service(): Promise<string> {
    const host = await this.host();
    return host === '' ? 'dtr' : host;
  }
}
