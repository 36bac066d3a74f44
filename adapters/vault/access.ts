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
import { readWrapped, type WrappedFile } from './wrapped-files';

/**
 * Access of the current recipients to what is in one cluster's part of a vault. Knows what was wrapped when it was loaded, and what it
 * wraps itself.
 */
export class Access {
  private constructor(
    private readonly vault: Vault,
    private readonly wrapped: Map<string, string[]>,
    /** By name: files that do not hold what their names say, and count as absent. */
    private readonly rotten: Map<string, WrappedFile>,
    private readonly current: EncryptionKeys,
    private readonly keys: DecryptionKeys,
    /** Names of `keys` among recipients. */
    private readonly ours: ReadonlySet<string>,
  ) {}

  /** `prefix`: the segments or the backup that is looked at. `keys` may be empty: then nothing can be wrapped. */
  static async load(vault: Vault, prefix: string, current: EncryptionKeys, keys: DecryptionKeys): Promise<Access> {
    const wrapped = new Map<string, string[]>();
    const rotten = new Map<string, WrappedFile>();
    for (const file of await readWrapped(vault, prefix, current)) {
      if (file.fault !== null) rotten.set(file.name, file);
      else wrapped.set(file.base, [...(wrapped.get(file.base) ?? []), file.recipient]);
    }
    return new Access(vault, wrapped, rotten, current, keys, new Set(await decryptionRecipients(keys)));
  }

  /** All who can open the file: for whom it was written, and who was added. */
  recipientsOf(name: string, writtenFor: readonly string[]): string[] {
    return [...new Set([...writtenFor, ...this.addedTo(name)])].sort();
  }

  /** Those who were added, sorted. */
  addedTo(name: string): string[] {
    return [...(this.wrapped.get(baseOf(name)) ?? [])].sort();
  }

  /** Whether session keys of the file are damaged and were not wrapped anew since. */
  isDamaged(name: string): boolean {
    return [...this.rotten.values()].some(({ base }) => base === baseOf(name));
  }

  /** One sentence for each file of session keys that is not relied on and was not written anew. */
  get warnings(): string[] {
    return [...this.rotten.values()].map(({ name, fault }) => `${name} is not relied on (${fault}): put it back from a second copy of the vault, or write it anew with \`drydock key rotate --rewrap\` where a key opens the file.`);
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
      const file = vaultPaths.wrappedKeys(name, recipient);
      if (!(await this.clear(file))) return false;
      await this.putOnce(file, await wrapSessionKey(message.sessionKey, await onlyFor(this.current, recipient)));
      this.wrapped.set(baseOf(name), [...(this.wrapped.get(baseOf(name)) ?? []), recipient]);
    }
    return true;
  }

  /** Takes a rotten file out of the way, unless somebody else has mended it meanwhile. False where that is not permitted. */
  private async clear(name: string): Promise<boolean> {
    const known = this.rotten.get(name);
    if (!known) return true;
    try {
      const isUnchanged = known.sha256 === null || createHash('sha256').update(await this.vault.readAll(name, MAX_KEYS_BYTES)).digest('hex') === known.sha256;
      if (isUnchanged) await this.vault.remove(name);
    } catch (error) {
      if (!(error instanceof DrydockError) || error.retryable) throw error;
      if (error.kind !== 'NotFound') return false;
    }
    this.rotten.delete(name);
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
