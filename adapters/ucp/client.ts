import { z } from 'zod';
import type { ClusterConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { HttpClient, type HttpAnswer, type HttpCall, type Service } from '../http/http';
import { resolveSecret } from '../secrets/secrets';
import { firstAnswer } from './first-answer';
import type { Account, Ucp } from './ucp';

const UCP: Service = { name: 'UCP', unavailable: 'UcpUnavailable', caSetting: 'ucp.caFile', authRemedy: 'check ucp.username and ucp.password' };

const PAGE = 100;
const MAX_BUNDLE = 16 * 1024 * 1024;

const loginAnswer = z.object({ auth_token: z.string().min(1) });
const account = z.object({ id: z.string(), name: z.string(), isOrg: z.boolean().default(false), isAdmin: z.boolean().optional() });
const info = z.object({ ID: z.string().min(1) });
const accountPage = z.object({ accounts: z.array(account).nullable(), nextPageStart: z.string().optional() });

/**
 * Logs in to UCP at the first of the configured addresses that answers. Throws AuthRejected for a wrong password (no further address is
 * tried), TlsRejected, UcpUnavailable when none answers.
 */
export async function connectUcp(config: ClusterConfig['ucp'], options: { signal?: AbortSignal } = {}): Promise<Ucp> {
  const password = await resolveSecret(config.password, 'login');
  const ucp = new UcpClient(config, password, options.signal);
  try {
    await ucp.login();
    return ucp;
  } catch (error) {
    await ucp.close();
    throw error;
  }
}

class UcpClient implements Ucp {
  private readonly clients: HttpClient[];
  private current: HttpClient;
  private token: string | undefined;

  constructor(private readonly config: ClusterConfig['ucp'], private readonly password: string, private readonly signal: AbortSignal | undefined) {
    const tls = { caFile: config.caFile, insecure: config.insecureSkipTlsVerify };
    this.clients = config.urls.map((url) => new HttpClient(url, UCP, tls));
    this.current = this.clients[0]!;
  }

  get url(): string {
    return this.current.baseUrl;
  }

  async login(): Promise<void> {
    const { client, token } = await firstAnswer(this.clients.map((client) => () => this.loginAt(client)), {
      signal: this.signal,
      isFinal: (error) => !mayTryNext(error),
      // What a person has to mend is worth more than "no answer".
      failed: (failures) => failures.find((failure) => failure.kind === 'TlsRejected') ?? noneAnswers(failures),
    });
    this.token = token;
    this.current = client;
  }

  private async loginAt(client: HttpClient): Promise<{ client: HttpClient; token: string }> {
    const { json } = await client.json({ method: 'POST', path: 'auth/login', json: { username: this.config.username, password: this.password }, timeoutMs: 30_000, signal: this.signal });
    const answer = loginAnswer.safeParse(json);
    if (!answer.success) throw notUcp(client.baseUrl);
    return { client, token: answer.data.auth_token };
  }

  async isAdmin(): Promise<boolean> {
    try {
      const { json } = await this.authorized({ path: `accounts/${encodeURIComponent(this.config.username)}` });
      return account.parse(json).isAdmin === true;
    } catch (error) {
      if (error instanceof DrydockError && error.kind === 'NotPermitted') return false;
      throw readable(error, 'accounts/<username>');
    }
  }

  async id(): Promise<string | undefined> {
    try {
      const { json } = await this.authorized({ path: 'info' });
      return info.safeParse(json).data?.ID;
    } catch (error) {
      if (error instanceof DrydockError && !error.retryable) return undefined;
      throw error;
    }
  }

  async ping(): Promise<boolean> {
    try {
      const { status } = await this.current.text({ path: '_ping', ok: [200, 500, 503], timeoutMs: 15_000, signal: this.signal });
      return status === 200;
    } catch (error) {
      if (error instanceof DrydockError && error.kind === 'UcpUnavailable') return false;
      throw error;
    }
  }

  async ca(): Promise<string> {
    return (await this.current.text({ path: 'ca', signal: this.signal })).text;
  }

  async accounts(): Promise<Account[]> {
    const found = new Map<string, Account>();
    let start: string | undefined;
    do {
      const answer = await this.authorized({ path: 'accounts/', query: { filter: 'all', limit: PAGE, start } });
      const page = parsePage(answer.json);
      for (const each of page.accounts ?? []) found.set(each.id, each);
      const header = answer.headers['x-next-page-start'];
      const next = (typeof header === 'string' ? header : '') || page.nextPageStart;
      // A server that names the same page again must not keep us here for ever.
      start = next === '' || next === start ? undefined : next;
    } while (start !== undefined);
    return [...found.values()];
  }

  async fetchBundle(): Promise<Buffer> {
    return (await this.withToken((headers) => this.current.bytes({ path: 'api/clientbundle', headers: { ...headers, accept: 'application/zip, */*' }, signal: this.signal }, MAX_BUNDLE))).bytes;
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }

  private authorized(call: HttpCall): Promise<HttpAnswer & { json: unknown }> {
    return this.withToken((headers) => this.current.json({ ...call, headers, signal: this.signal }));
  }

  /** A session ends after a while; one new login is part of the call, not a retry. */
  private async withToken<T>(work: (headers: Record<string, string>) => Promise<T>): Promise<T> {
    const headers = () => ({ authorization: `Bearer ${this.token}` });
    if (this.token === undefined) await this.login();
    try {
      return await work(headers());
    } catch (error) {
      if (!(error instanceof DrydockError && error.kind === 'AuthRejected')) throw error;
      await this.login();
      return work(headers());
    }
  }
}

function parsePage(json: unknown): z.infer<typeof accountPage> {
  try {
    return accountPage.parse(json);
  } catch (error) {
    throw readable(error, 'accounts/');
  }
}

function readable(error: unknown, path: string): unknown {
  if (!(error instanceof z.ZodError)) return error;
  return new DrydockError('UcpUnavailable', `UCP answered something unexpected to GET ${path}`, { remedy: 'check that ucp.urls name UCP and not a login page or a proxy', cause: error });
}

function notUcp(url: string): DrydockError {
  return new DrydockError('UcpUnavailable', `${url} answers, but not as UCP does`, { remedy: 'check ucp.urls' });
}

function mayTryNext(error: DrydockError): boolean {
  return error.kind === 'UcpUnavailable' || error.kind === 'TlsRejected' || error.kind === 'NotFound' || error.kind === 'Refused' || error.kind === 'Busy';
}

function noneAnswers(failures: DrydockError[]): DrydockError {
  const [first] = failures;
  if (failures.length === 1 && first !== undefined) return first;
  return new DrydockError('UcpUnavailable', `no address of UCP answers: ${failures.map(({ message }) => message).join('; ')}`, { remedy: 'check ucp.urls and the managers', cause: first });
}
