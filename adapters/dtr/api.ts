import { type z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { basicAuthorization, HttpClient, type HttpAnswer, type HttpCall, type Service, type TlsOptions } from '../http/http';

export const DTR: Service = {
  name: 'DTR', unavailable: 'RegistryUnavailable', caSetting: 'dtr.caFile', authRemedy: 'check ucp.username and ucp.password: DTR takes the logins of UCP',
};

export interface DtrLogin {
  username: string;
  password: string;
}

const PAGE = 100;
/** No registry has as many pages; a server that names ever new ones is broken. */
const MAX_PAGES = 100_000;

/** `/api/v0` of DTR with login, the paths of old and new versions, and lists that come in pages. */
export class DtrApi {
  readonly http: HttpClient;
  private readonly authorization: string;
  /** DTR 2.2 to 2.4 want a slash at the end of paths; known after the first answer. */
  private slash: boolean | undefined;
  private offsetMs: number | undefined;

  /** `signal` ends a GET at once; what changes something goes on until it is answered or its time is over. */
  constructor(url: string, tls: TlsOptions, login: DtrLogin, private readonly signal?: AbortSignal) {
    this.http = new HttpClient(url, DTR, tls);
    this.authorization = basicAuthorization(login.username, login.password);
  }

  /** Clock of the server minus ours, from the Date header of the last answer that had one; undefined before. */
  get clockOffsetMs(): number | undefined {
    return this.offsetMs;
  }

  /** One call; the answer is checked against the schema. */
  async get<T extends z.ZodType>(path: string, schema: T, query: HttpCall['query'] = {}): Promise<z.output<T>> {
    return this.parsed(schema, (await this.send({ path, query })).json, path);
  }

  async parsedSend<T extends z.ZodType>(call: HttpCall, schema: T): Promise<z.output<T>> {
    return this.parsed(schema, (await this.send(call)).json, call.path);
  }

  /** Every page of a list: the next one's start stands in `X-Next-Page-Start`. */
  async pages<T>(path: string, schema: z.ZodType<T[]>, keyOf: (item: T) => string): Promise<T[]> {
    const found = new Map<string, T>();
    let start: string | undefined;
    for (let n = 0; n < MAX_PAGES; n++) {
      const answer = await this.send({ path, query: { pageSize: PAGE, pageStart: start } });
      for (const item of this.parsed(schema, answer.json, path)) found.set(keyOf(item), item);
      const next = nextStart(answer.headers['x-next-page-start']);
      if (next === undefined || next === start) break;
      start = next;
    }
    return [...found.values()];
  }

  /** An authorised call below `/api/v0`. Throws AuthRejected, NotPermitted, NotFound, RegistryUnavailable and the like. */
  async send(call: HttpCall): Promise<HttpAnswer & { json: unknown }> {
    const withStyle = (slash: boolean): HttpCall => ({
      ...call, path: `api/v0/${call.path}${slash ? '/' : ''}`, headers: { authorization: this.authorization, ...call.headers }, ok: undefined,
    });
    try {
      const answer = await this.once(withStyle(this.slash ?? false));
      this.slash ??= false;
      return answer;
    } catch (error) {
      // A 404 with a code is DTR's own word on a thing; one without is a path that this version does not know. A body is sent only once.
      const unknownPath = error instanceof DrydockError && error.kind === 'NotFound' && error.details?.code === undefined;
      if (!unknownPath || this.slash !== undefined || call.body !== undefined) throw error;
    }
    const answer = await this.once(withStyle(true));
    this.slash = true;
    return answer;
  }

  async close(): Promise<void> {
    await this.http.close();
  }

  private async once(call: HttpCall): Promise<HttpAnswer & { json: unknown }> {
    const answer = await this.http.json((call.method ?? 'GET') === 'GET' ? { ...call, signal: this.signal } : call);
    this.noteClock(answer);
    return answer;
  }

  /** Remembers the server's clock. */
  noteClock(answer: HttpAnswer): void {
    const at = Date.parse(answer.headers.date ?? '');
    if (!Number.isNaN(at)) this.offsetMs = at - Date.now();
  }

  private parsed<T extends z.ZodType>(schema: T, json: unknown, path: string): z.output<T> {
    const result = schema.safeParse(json);
    if (result.success) return result.data;
    const issue = result.error.issues[0];
    throw new DrydockError('RegistryUnavailable', `DTR answered something unexpected to api/v0/${path} (${issue?.path.join('.')}: ${issue?.message})`, {
      remedy: 'check that dtr.url is the address of DTR, and its version',
    });
  }
}

/** The header is meant to be put into a query as it is, so it may be percent-encoded already. */
function nextStart(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string' || header === '') return undefined;
  try {
    return decodeURIComponent(header);
  } catch {
    return header;
  }
}
