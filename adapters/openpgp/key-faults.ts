/** What is wrong with a key, in words. Every refusal names the key by fingerprint, user id and file. */
import * as openpgp from 'openpgp';
import { DrydockError } from '../../domain/errors';

/** Algorithms that gpg 2.2 does not know: a backup for such a key alone could not be opened without newer tools. */
const UNKNOWN_TO_GPG_22 = ['x25519', 'x448', 'ed25519', 'ed448'];
const WEAK_ALGORITHMS = ['elgamal', 'dsa'];
const MIN_RSA_BITS = 2048;
/** gpg has them; OpenPGP.js has them in browsers only. */
const CURVES_WITHOUT_CODE = ['brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1', 'secp256k1'];
const CURVE_REMEDY = 'use a key on Curve25519 or NIST P-256, or an RSA key of 3072 bits, as `gpg --quick-generate-key "NAME <MAIL>" default default` makes them';
/** OpenPGP.js takes certifications by SHA-1; we do not, because another key's certification can be forged onto them. */
const STRICT: typeof openpgp.config = { ...openpgp.config, rejectHashAlgorithms: new Set([...openpgp.config.rejectHashAlgorithms, openpgp.enums.hash.sha1]) };

/** Long enough to have a key extended and handed round. */
const NOTICE_MS = 30 * 24 * 3600 * 1000;

/** `verify`: signatures of this key are trusted; it may have expired, or have been revoked, since. */
export type KeyUse = 'encrypt' | 'sign' | 'verify';

interface Fault {
  what: string;
  remedy: string;
}

/** Throws InvalidInput when the key is weak, expired, revoked, of a form that gpg 2.2 cannot use, or not made for this use. */
export async function assertUsable(key: openpgp.Key, use: KeyUse, file: string): Promise<void> {
  const fault = await faultOf(key, use);
  if (fault) throw new DrydockError('InvalidInput', `${nameOf(key, file)} ${fault.what}`, { remedy: fault.remedy });
}

/** Throws InvalidInput for a private key that could open nothing here, because Drydock has no code for the curve that it, or all of it that decrypts, is on. */
export async function assertOpens(key: openpgp.PrivateKey, file: string): Promise<void> {
  const curve = curveWithoutCode(key) ?? (await curveOfDecryption(key));
  if (curve === null) return;
  throw new DrydockError('InvalidInput', `${nameOf(key, file)} is on the curve ${curve}, which Drydock cannot use (gpg can)`, {
    remedy: `open what was encrypted for it with gpg, as RESTORE.md beside the backup says; for Drydock, ${CURVE_REMEDY}`,
  });
}

/** Null as soon as one part that decrypts is on another curve or on none. */
async function curveOfDecryption(key: openpgp.PrivateKey): Promise<string | null> {
  // Backups are old; so a part that has expired since opens them as well.
  const parts = await key.getDecryptionKeys(undefined, null).catch(() => []);
  const curves = parts.map(curveWithoutCode);
  return curves.includes(null) ? null : (curves[0] ?? null);
}

/** One sentence when a key that serves now will do so for less than 30 days; null else. `now`: ms since epoch. */
export async function expiryNotice(key: openpgp.Key, use: 'encrypt' | 'sign', now = Date.now()): Promise<string | null> {
  const ends = await endOf(key, use);
  if (ends === null || ends.getTime() > now + NOTICE_MS) return null;
  const [user] = key.getUserIDs();
  const name = `${key.getFingerprint().toUpperCase()}${user === undefined ? '' : ` (${user})`}`;
  return `The ${use === 'encrypt' ? 'recipient\'s' : 'signing'} key ${name} expires on ${ends.toISOString().slice(0, 10)}: from then on no backup is made with it. Extend its life and export it again, or give another one.`;
}

/** When nothing of the key serves any more; null where that is never. */
async function endOf(key: openpgp.Key, use: 'encrypt' | 'sign'): Promise<Date | null> {
  const primary = await expiryOf(key);
  let parts: Date | null = new Date(0);
  for (const part of [key, ...key.subkeys]) {
    const id = part.getKeyID();
    const serves = await (use === 'encrypt' ? key.getEncryptionKey(id) : key.getSigningKey(id)).catch(() => null);
    if (!serves) continue;
    const ends = part === key ? primary : await part.getExpirationTime().catch(() => null);
    if (!(ends instanceof Date)) parts = null;
    else if (parts !== null && ends > parts) parts = ends;
  }
  if (primary === null || parts === null) return primary ?? parts;
  return primary < parts ? primary : parts;
}

/** `the key FINGERPRINT (Name <mail>) in FILE`. */
export function nameOf(key: openpgp.Key, file: string): string {
  const user = key.getUserIDs()[0];
  return `the key ${key.getFingerprint().toUpperCase()}${user === undefined ? '' : ` (${user})`} in ${file}`;
}

async function faultOf(key: openpgp.Key, use: KeyUse): Promise<Fault | null> {
  const another = use === 'encrypt' ? 'give another recipient' : 'give another signing key';
  if (key.keyPacket.version !== 4) return { what: `is an OpenPGP version ${key.keyPacket.version} key, which gpg 2.2 cannot use`, remedy: 'use a version 4 key' };
  const curve = curveWithoutCode(key);
  // Not even its own certifications can be checked then.
  if (curve !== null) return onCurve('is', curve);
  const keyWeakness = weakness(key);
  // Whether a revoked key's signature counts depends on the reason, and on the signature's time.
  if (use !== 'verify' && (await key.isRevoked())) return { what: 'is revoked', remedy: another };
  if (use === 'verify') return keyWeakness === null ? null : { what: `is weak: ${keyWeakness}`, remedy: another };
  const expires = await expiryOf(key);
  if (isPast(expires)) return { what: `expired on ${expires!.toISOString().slice(0, 10)}`, remedy: `extend its life and export it again, or ${another}` };
  const chosen = await chosenPart(key, use, openpgp.config);
  if (!chosen) return whyNone(key, use, another);
  const curveOfPart = curveWithoutCode(chosen);
  if (curveOfPart !== null) return onCurve(use === 'encrypt' ? 'encrypts' : 'signs', curveOfPart);
  const algorithm = chosen.getAlgorithmInfo().algorithm;
  // The older forms of the same curves are named eddsaLegacy and ecdh.
  if (UNKNOWN_TO_GPG_22.includes(algorithm)) return { what: `${use === 'encrypt' ? 'encrypts' : 'signs'} with ${algorithm}, which gpg 2.2 cannot use`, remedy: 'use an RSA key or one on Curve25519 as gpg makes them' };
  const weak = keyWeakness ?? weakness(chosen);
  if (weak) return { what: `is weak: ${weak}`, remedy: `use an RSA key of at least ${MIN_RSA_BITS} bits or a modern elliptic curve` };
  if (!(await chosenPart(key, use, STRICT))) return { what: 'is weak: it is certified with SHA-1 only', remedy: `certify it anew (gpg --cert-digest-algo SHA256, then set its expiry again) and export it, or ${another}` };
  return null;
}

/** Why no part of the key serves. */
async function whyNone(key: openpgp.Key, use: Exclude<KeyUse, 'verify'>, another: string): Promise<Fault> {
  for (const part of [key, ...key.subkeys]) {
    const weak = weakness(part);
    if (weak) return { what: `is weak: ${weak}`, remedy: `use an RSA key of at least ${MIN_RSA_BITS} bits or a modern elliptic curve` };
  }
  const what = use === 'encrypt' ? 'encryption' : 'signing';
  for (const subkey of key.subkeys) {
    if (await subkey.isRevoked(subkey.bindingSignatures[0]!, key.keyPacket).catch(() => false)) return { what: `has no ${what} key that is still valid: its subkey is revoked`, remedy: another };
    if (isPast(await subkey.getExpirationTime().catch(() => null))) return { what: `has no ${what} key that is still valid: it expired`, remedy: `extend its life and export it again, or ${another}` };
  }
  if (use === 'sign') return { what: 'cannot sign', remedy: another };
  const canSign = await chosenPart(key, 'sign', openpgp.config);
  return { what: canSign ? 'cannot encrypt: it is for signing only' : 'cannot encrypt: it has no encryption key that is valid', remedy: `add an encryption subkey, or ${another}` };
}

async function chosenPart(key: openpgp.Key, use: Exclude<KeyUse, 'verify'>, config: typeof openpgp.config): Promise<openpgp.Key | openpgp.Subkey | null> {
  try {
    return await (use === 'encrypt' ? key.getEncryptionKey(undefined, undefined, undefined, config) : key.getSigningKey(undefined, undefined, undefined, config));
  } catch {
    // OpenPGP.js says why in words of its own; the caller finds out in ours.
    return null;
  }
}

function curveWithoutCode(part: openpgp.Key | openpgp.Subkey): string | null {
  const { curve } = part.getAlgorithmInfo();
  return curve !== undefined && CURVES_WITHOUT_CODE.includes(curve) ? curve : null;
}

function onCurve(does: 'is' | 'encrypts' | 'signs', curve: string): Fault {
  return { what: `${does} on the curve ${curve}, which Drydock cannot use (gpg can)`, remedy: CURVE_REMEDY };
}

function weakness(part: openpgp.Key | openpgp.Subkey): string | null {
  const { algorithm, bits } = part.getAlgorithmInfo();
  if (algorithm.startsWith('rsa') && bits !== undefined && bits < MIN_RSA_BITS) return `RSA with ${bits} bits`;
  if (WEAK_ALGORITHMS.includes(algorithm)) return algorithm === 'dsa' ? 'DSA' : 'ElGamal';
  return null;
}

async function expiryOf(key: openpgp.Key): Promise<Date | null> {
  const expires = await key.getExpirationTime().catch(() => null);
  return expires instanceof Date ? expires : null;
}

function isPast(time: Date | number | null): boolean {
  return time instanceof Date && time.getTime() <= Date.now();
}
