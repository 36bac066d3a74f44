import { createPublicKey, createSign, createVerify, randomUUID } from 'node:crypto';

export interface TokenAccess {
  type: string;
  name: string;
  actions: string[];
}

export interface Claims {
  iss: string;
  sub: string;
  aud: string;
  exp: number;
  nbf: number;
  iat: number;
  jti: string;
  access: TokenAccess[];
}

export const ISSUER = 'garant';
export const LIFETIME_SECONDS = 900;

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as Distribution wants it: RS256 with the signer's certificate in `x5c`. */
export function signToken(keyPem: string, certDer: string, subject: string, audience: string, access: TokenAccess[]): string {
  const seconds = Math.floor(Date.now() / 1000);
  const claims: Claims = { iss: ISSUER, sub: subject, aud: audience, exp: seconds + LIFETIME_SECONDS, nbf: seconds - 60, iat: seconds, jti: randomUUID(), access };
  const signed = `${encode({ typ: 'JWT', alg: 'RS256', x5c: [certDer] })}.${encode(claims)}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(keyPem).toString('base64url')}`;
}

/** Claims of a valid token of this cluster; null otherwise. */
export function verifyToken(token: string, certPem: string): Claims | null {
  const [header, payload, signature] = token.split('.');
  if (!header || !payload || !signature || certPem === '') return null;
  const valid = createVerify('RSA-SHA256').update(`${header}.${payload}`).verify(createPublicKey(certPem), Buffer.from(signature, 'base64url'));
  if (!valid) return null;
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims;
  const seconds = Date.now() / 1000;
  return claims.iss === ISSUER && claims.exp > seconds && claims.nbf <= seconds ? claims : null;
}
