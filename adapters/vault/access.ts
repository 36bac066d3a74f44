/** Who can open an encrypted file of the vault, and wrapping its session key for recipients who came later. */
import { createHash } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import type { WrappedKeys } from '../../domain/manifest';
import { vaultPaths } from '../../domain/vault-format';
import { decryptionRecipients, onlyFor } from '../openpgp/keyring';
import type { DecryptionKeys, EncryptionKeys } from '../openpgp/keys';
import { isForWantOfKey } from '../openpgp/session-key';
import { wrapSessionKey } from '../openpgp/wrap';
import { locateBody, MAX_KEYS_BYTES, openStored } from './open-stored';
import type { Vault } from './vault';

const KEYS_FILE = /^(.+)\.(passphrase-[0-9a-f]{16}|[0-9A-F]{40})\.keys$/;

/** The file that holds the recipient's session key packets, without its name's end; and who the recipient is. Null for any other name. */
export function parseKeysName(name: string): { base: string; recipient: string } | null {
  const match = KEYS_FILE.exec(name);
  return match && { base: match[1]!, recipient: match[2]!.replace('passphrase-', 'passphrase:') };
}

/** Recipients that were added under a prefix, by the encrypted file's name (of a segment: without `.tar.gpg`). */
export async function listWrapped(vault: Vault, prefix: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for await (const { name } of vault.list(prefix)) {
    const parsed = parseKeysName(name);
    if (parsed) found.set(parsed.base, [...(found.get(parsed.base) ?? []), parsed.recipient]);
  }
  return found;
}

/**
 * Access of the current recipients to what is in one cluster's part of a vault. Knows what was wrapped when it was loaded, and what it
 * wraps itself.
 */
export class Access {
  private constructor(
    private readonly vault: Vault,
    private readonly wrapped: Map<string, string[]>,
    private readonly current: EncryptionKeys,
    private readonly keys: DecryptionKeys,
    /** Names of `keys` among recipients. */
    private readonly ours: ReadonlySet<string>,
  ) {}

  /** `prefix`: the segments or the backup that is looked at. `keys` may be empty: then nothing can be wrapped. */
  static async load(vault: Vault, prefix: string, current: EncryptionKeys, keys: DecryptionKeys): Promise<Access> {
    return new Access(vault, await listWrapped(vault, prefix), current, keys, new Set(await decryptionRecipients(keys)));
  }

  /** All who can open the file: for whom it was written, and who was added. */
  recipientsOf(name: string, writtenFor: readonly string[]): string[] {
    return [...new Set([...writtenFor, ...this.addedTo(name)])].sort();
  }

  /** Those who were added, sorted. */
  addedTo(name: string): string[] {
    return [...(this.wrapped.get(baseOf(name)) ?? [])].sort();
  }

  /** Current recipients who cannot open the file. */
  missingFrom(name: string, writtenFor: readonly string[]): string[] {
    const able = new Set(this.recipientsOf(name, writtenFor));
    return this.current.recipients.filter((recipient) => !able.has(recipient));
  }

  /** Whether a key at hand is a recipient of the file. */
  canOpen(name: string, writtenFor: readonly string[]): boolean {
    return this.recipientsOf(name, writtenFor).some((recipient) => this.ours.has(recipient));
  }

  /**
   * Makes sure that every current recipient can open the file: wraps its session key for those who cannot yet. False when that is not
   * possible because no key at hand opens it. Throws NotFound or IntegrityMismatch when the file itself is not sound, and what keeps us from the vault.
   */
  async cover(name: string, writtenFor: readonly string[]): Promise<boolean> {
    const missing = this.missingFrom(name, writtenFor);
    if (missing.length === 0) return true;
    if (!this.canOpen(name, writtenFor)) return false;
    const message = await openStored(this.vault, name, this.keys).catch((error: unknown) => {
      // Names may promise what the file does not keep; then it is no use to the recipients either.
      if (isForWantOfKey(error)) return null;
      throw error;
    });
    if (message === null) return false;
    for (const recipient of missing) {
      await this.putOnce(vaultPaths.wrappedKeys(name, recipient), await wrapSessionKey(message.sessionKey, await onlyFor(this.current, recipient)));
      this.wrapped.set(baseOf(name), [...(this.wrapped.get(baseOf(name)) ?? []), recipient]);
    }
    return true;
  }

  /** Another worker may wrap the same key at the same time; either's packets serve. */
  private async putOnce(name: string, content: Buffer): Promise<void> {
    try {
      await this.vault.put(name, content);
    } catch (error) {
      if (!(error instanceof DrydockError) || error.kind !== 'Conflict') throw error;
    }
  }
}

/**
 * What a manifest says about recipients that were added to a file: where its encrypted data begins, so that a person can put their packets
 * in front of it, and the digests of the files. Undefined when nobody was added.
 */
export async function recordWrapped(vault: Vault, name: string, added: readonly string[]): Promise<WrappedKeys | undefined> {
  if (added.length === 0) return undefined;
  const keys: WrappedKeys['keys'] = [];
  for (const recipient of added) {
    const content = await vault.readAll(vaultPaths.wrappedKeys(name, recipient), MAX_KEYS_BYTES);
    keys.push({ recipient, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') });
  }
  // `tail -c +N` counts from 1, and the packet begins with the tag octet before its body.
  return { encryptedFrom: (await locateBody(vault, name)).bodyStart, keys };
}

function baseOf(name: string): string {
  return name.replace(/\.tar\.gpg$/, '');
}
