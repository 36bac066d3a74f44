/** Calls to the registry and to DTR's API, with the lab's own authority. */
import { readFileSync } from 'node:fs';
import { Agent, request, type Dispatcher } from 'undici';

export interface Endpoint {
  /** `host[:port]`, HTTPS. */
  registry: string;
  /** PEM file of the authority that signed the registry's certificate. */
  caFile: string;
  username: string;
  password: string;
}

export interface CallOptions {
  body?: Buffer | string;
  headers?: Record<string, string>;
  /** Expected status codes; any other is an error. */
  expect: number[];
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** HTTPS with Basic login, or with the Bearer token that a registry asks for. One connection pool. */
export class LabHttp {
  private readonly agent: Dispatcher;
  private readonly tokens = new Map<string, Promise<string>>();

  constructor(private readonly endpoint: Endpoint) {
    this.agent = new Agent({ connect: { ca: readFileSync(endpoint.caFile) }, connections: 4, bodyTimeout: 120_000, headersTimeout: 120_000 });
  }

  /** A call with Basic login. */
  basic(method: string, path: string, options: CallOptions): Promise<Answer> {
    return this.call(method, path, options, this.basicHeader());
  }

  /** A call to `/v2/`; a 401 with a Bearer challenge is answered with a token for `repository`. */
  async registry(method: string, path: string, repository: string, options: CallOptions): Promise<Answer> {
    const token = await this.tokens.get(repository);
    const answer = await this.call(method, path, { ...options, expect: [...options.expect, 401] }, token ?? this.basicHeader());
    if (answer.status !== 401) return answer;
    const fresh = this.fetchToken(String(answer.headers['www-authenticate'] ?? ''), repository);
    this.tokens.set(repository, fresh);
    return this.call(method, path, options, await fresh);
  }

  /** The body of a Basic-login GET, as bytes. */
  async bytes(path: string): Promise<Buffer> {
    const response = await request(`https://${this.endpoint.registry}${path}`, { dispatcher: this.agent, headers: { authorization: this.basicHeader() } });
    const body = Buffer.from(await response.body.arrayBuffer());
    if (response.statusCode !== 200) throw new Error(`GET ${path} at ${this.endpoint.registry} answered ${response.statusCode}`);
    return body;
  }

  async close(): Promise<void> {
    await this.agent.close();
  }

  private async call(method: string, path: string, options: CallOptions, authorization: string): Promise<Answer> {
    const url = path.startsWith('https://') ? path : `https://${this.endpoint.registry}${path}`;
    const response = await request(url, {
      method: method,
      dispatcher: this.agent,
      headers: { authorization, ...options.headers },
      ...(options.body === undefined ? {} : { body: options.body }),
    });
    const text = await response.body.text();
    if (!options.expect.includes(response.statusCode)) {
      throw new Error(`${method} ${new URL(url).pathname} at ${this.endpoint.registry} answered ${response.statusCode}: ${text.slice(0, 300)}`);
    }
    return { status: response.statusCode, headers: response.headers, text };
  }

  private async fetchToken(challenge: string, repository: string): Promise<string> {
    const field = (name: string): string | undefined => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1];
    const realm = field('realm');
    if (!/^bearer/i.test(challenge) || realm === undefined) throw new Error(`The registry ${this.endpoint.registry} refused the login.`);
    const url = new URL(realm);
    url.searchParams.set('service', field('service') ?? this.endpoint.registry);
    url.searchParams.set('scope', `repository:${repository}:pull,push`);
    url.searchParams.set('account', this.endpoint.username);
    const answer = await this.basic('GET', url.toString(), { expect: [200] });
    const { token, access_token: alias } = JSON.parse(answer.text) as { token?: string; access_token?: string };
    const value = token ?? alias;
    if (value === undefined) throw new Error(`The token service of ${this.endpoint.registry} answered without a token.`);
    return `Bearer ${value}`;
  }

  private basicHeader(): string {
    const { username, password } = this.endpoint;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }
}
