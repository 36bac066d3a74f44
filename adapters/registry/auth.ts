import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { basicAuthorization, HttpClient, type TlsOptions } from '../http/http';
import { REGISTRY } from './service';

export interface Challenge {
  scheme: 'bearer' | 'basic';
  realm?: string;
  service?: string;
  scope?: string;
}

const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional(), expires_in: z.number().optional() });
/** The token specification's default, less a margin. */
const DEFAULT_SECONDS = 60;
const MARGIN_MS = 10_000;

/** Reads `WWW-Authenticate`; null when there is no scheme in it that we know. */
export function parseChallenge(header: string | string[] | undefined): Challenge | null {
  const text = Array.isArray(header) ? header.join(', ') : (header ?? '');
  const scheme = /\b(bearer|basic)\b/i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== 'bearer' && scheme !== 'basic') return null;
  const parameters = Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map((match) => [match[1]!.toLowerCase(), match[2]!]));
  return { scheme, realm: parameters.realm, service: parameters.service, scope: parameters.scope };
}

/** Authorisation headers for a registry, by what it asked for; tokens are kept until shortly before they end. */
export class RegistryAuth {
  private readonly tokens = new Map<string, { header: string; until: number }>();
  private readonly basic: string;

  constructor(private readonly tls: TlsOptions, username: string, password: string) {
    this.basic = basicAuthorization(username, password);
  }

  /** What is kept for a scope, if it is still good. */
  kept(scope: string): string | undefined {
    const token = this.tokens.get(scope);
    return token !== undefined && token.until > Date.now() ? token.header : undefined;
  }

  /** Answers a challenge. Throws AuthRejected, RegistryUnavailable. */
  async answer(challenge: Challenge, scope: string): Promise<string> {
    if (challenge.scheme === 'basic') {
      this.tokens.set(scope, { header: this.basic, until: Infinity });
      return this.basic;
    }
    if (challenge.realm === undefined) throw new DrydockError('RegistryUnavailable', 'the registry asks for a token, but does not say where to get it');
    const client = new HttpClient(new URL(challenge.realm).origin, REGISTRY, this.tls);
    try {
      const { json } = await client.json({ path: challenge.realm, query: { service: challenge.service, scope: challenge.scope ?? scope }, headers: { authorization: this.basic } });
      const answer = tokenAnswer.parse(json);
      const token = answer.token ?? answer.access_token;
      if (token === undefined) throw new DrydockError('RegistryUnavailable', `${challenge.realm} gave no token`);
      const header = `Bearer ${token}`;
      this.tokens.set(scope, { header, until: Date.now() + (answer.expires_in ?? DEFAULT_SECONDS) * 1000 - MARGIN_MS });
      return header;
    } finally {
      await client.close();
    }
  }
}
