import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { DrydockError } from '../../domain/errors';

export interface HostKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, ... */
  type: string;
  /** The key as it goes over the wire. */
  blob: Buffer;
}

export interface KnownKeys {
  accepted: HostKey[];
  revoked: HostKey[];
  /** The keys are those of the plain name, because nothing stands there for the name with the port. */
  isWithoutPort: boolean;
}

/**
 * What an OpenSSH known_hosts text says about one address: plain and hashed names, `[name]:port`, wildcards and `!` exceptions, `@revoked`.
 * Where a name has no entry with the port, the one without counts, as for ssh itself. Entries of certificate authorities are passed over, since host certificates are
 * not supported.
 */
export function knownKeys(text: string, address: string, port: number): KnownKeys {
  const plain = address.toLowerCase();
  const found = { ...keysOf(text, port === 22 ? plain : `[${plain}]:${port}`), isWithoutPort: false };
  if (port === 22) return found;
  const without = keysOf(text, plain);
  const revoked = [...found.revoked, ...without.revoked];
  if (found.accepted.length > 0 || without.accepted.length === 0) return { ...found, revoked };
  return { accepted: without.accepted, revoked, isWithoutPort: true };
}

function keysOf(text: string, name: string): Pick<KnownKeys, 'accepted' | 'revoked'> {
  const found: Pick<KnownKeys, 'accepted' | 'revoked'> = { accepted: [], revoked: [] };
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[0] === '' || fields[0]!.startsWith('#')) continue;
    const marker = fields[0]!.startsWith('@') ? fields.shift()! : '';
    const [names, type, base64] = fields;
    if (names === undefined || type === undefined || base64 === undefined || marker === '@cert-authority') continue;
    if (!namesMatch(names, name)) continue;
    (marker === '@revoked' ? found.revoked : found.accepted).push({ type, blob: Buffer.from(base64, 'base64') });
  }
  return found;
}

/** Reads `ssh-ed25519 AAAA... [comment]`. Throws InvalidInput. */
export function parseHostKey(line: string): HostKey {
  const [type = '', base64 = ''] = line.trim().split(/\s+/);
  const blob = Buffer.from(base64, 'base64');
  const typeInside = blob.length > 4 ? blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1') : '';
  if (type === '' || typeInside !== type) {
    throw new DrydockError('InvalidInput', 'a host key must be written like a line of ssh-keyscan, without the name: ssh-ed25519 AAAA...', {
      remedy: 'take it from /etc/ssh/ssh_host_ed25519_key.pub on the host itself',
    });
  }
  return { type, blob };
}

/** `SHA256:...`, as ssh-keygen -l prints it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** Signature algorithms to offer, so that the server shows a key of a kind that we know; all that are good enough where we know none. */
export function signatureAlgorithms({ accepted, isWithoutPort }: KnownKeys): SignatureAlgorithm[] {
  const wanted = accepted.flatMap(({ type }) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]));
  const known = SUPPORTED.filter((algorithm) => wanted.includes(algorithm));
  // A key that stands for another port may be another server's: no reason to ask for its kind only.
  if (known.length === 0 || isWithoutPort) return [...known, ...SUPPORTED.filter((algorithm) => !known.includes(algorithm))];
  return known;
}

/** Without `ssh-rsa` and `ssh-dss`: their signatures are by SHA-1. */
const SUPPORTED = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'rsa-sha2-512', 'rsa-sha2-256'] as const;
export type SignatureAlgorithm = (typeof SUPPORTED)[number];

function namesMatch(names: string, name: string): boolean {
  if (names.startsWith('|')) return hashMatches(names, name);
  let matched = false;
  for (const pattern of names.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!wildcardMatches(negated ? pattern.slice(1) : pattern, name)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

function hashMatches(entry: string, name: string): boolean {
  const [, version, salt = '', hash = ''] = entry.split('|');
  if (version !== '1') return false;
  const wanted = Buffer.from(hash, 'base64');
  const real = createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest();
  return wanted.length === real.length && timingSafeEqual(wanted, real);
}

function wildcardMatches(pattern: string, name: string): boolean {
  if (pattern === name) return true;
  if (!/[*?]/.test(pattern)) return false;
  const expression = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^${expression}$`).test(name);
}
