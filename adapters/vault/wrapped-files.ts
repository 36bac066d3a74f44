/** The `.keys` files of a vault, and whether they are what their names say, as far as that can be known without the recipients' private keys. */
import { createHash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { readPublicKeys } from '../openpgp/keyring';
import type { EncryptionKeys } from '../openpgp/keys';
import { faultOfPackets } from '../openpgp/packet-form';
import { MAX_KEYS_BYTES } from './open-stored';
import { recordedKeys } from './recorded-keys';
import type { Vault } from './vault';

const KEYS_FILE = /^(.+)\.(passphrase-[0-9a-f]{16}|[0-9A-F]{40})\.keys$/;
const SEGMENT_KEYS = /^([^/]+)\/segments\//;
/** A few hundred bytes each: a distant vault is asked for several at a time. */
const READ_AT_ONCE = 16;

/** The file that holds the recipient's session key packets, without its name's end; and who the recipient is. Null for any other name. */
export function parseKeysName(name: string): { base: string; recipient: string } | null {
  const match = KEYS_FILE.exec(name);
  return match && { base: match[1]!, recipient: match[2]!.replace('passphrase-', 'passphrase:') };
}

export interface WrappedFile {
  name: string;
  /** The encrypted file's name (of a segment: without `.tar.gpg`). */
  base: string;
  recipient: string;
  /** Hex; null when it could not be read. */
  sha256: string | null;
  /** Why it is not relied on; null for one against which nothing speaks. */
  fault: string | null;
}

/**
 * All under a prefix, each read. Faulty is what has not the form of session key packets for its recipient, and what has not the digest that the newest backup
 * recorded. Throws what may be tried again.
 */
export async function readWrapped(vault: Vault, prefix: string, current: EncryptionKeys): Promise<WrappedFile[]> {
  const names: string[] = [];
  for await (const { name } of vault.list(prefix)) if (parseKeysName(name)) names.push(name);
  if (names.length === 0) return [];
  const recorded = await recordedDigests(vault, names);
  const publicKeys = new Map((await readPublicKeys(current)).map((key) => [key.getFingerprint().toUpperCase(), key]));
  const found: WrappedFile[] = [];
  const open = names.values();
  const lane = async (): Promise<void> => {
    for (const name of open) {
      const { base, recipient } = parseKeysName(name)!;
      const content = await contentOf(vault, name);
      if (content === null) continue;
      if (typeof content === 'string') {
        found.push({ name, base, recipient, sha256: null, fault: content });
        continue;
      }
      const sha256 = createHash('sha256').update(content).digest('hex');
      const expected = recorded.get(name);
      const fault = faultOfPackets(content, recipient, publicKeys.get(recipient)) ?? (expected === undefined || expected === sha256 ? null : 'its SHA-256 is not the one that the newest backup recorded');
      found.push({ name, base, recipient, sha256, fault });
    }
  };
  await Promise.all(Array.from({ length: READ_AT_ONCE }, lane));
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A sentence in place of what is no plain file or far too long; null for what has just gone. */
async function contentOf(vault: Vault, name: string): Promise<Buffer | string | null> {
  try {
    return await vault.readAll(name, MAX_KEYS_BYTES);
  } catch (error) {
    if (!(error instanceof DrydockError) || error.retryable) throw error;
    return error.kind === 'NotFound' ? null : error.message;
  }
}

/** Manifests record those of segments only. */
async function recordedDigests(vault: Vault, names: readonly string[]): Promise<Map<string, string>> {
  const byCluster = new Map<string, string[]>();
  for (const name of names) {
    const cluster = SEGMENT_KEYS.exec(name)?.[1];
    if (cluster !== undefined) byCluster.set(cluster, [...(byCluster.get(cluster) ?? []), name]);
  }
  const found = new Map<string, string>();
  for (const [cluster, own] of byCluster) for (const [name, sha256] of await recordedKeys(vault, cluster, own)) found.set(name, sha256);
  return found;
}
