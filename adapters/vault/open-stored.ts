/** Opening encrypted files of a vault: by their own session key packets, or by those that lie beside them for later recipients. */
import { DrydockError } from '../../domain/errors';
import { vaultPaths } from '../../domain/vault-format';
import { readMessageStart, type MessageStart } from '../openpgp/framing';
import { decryptionRecipients } from '../openpgp/keyring';
import type { DecryptionKeys } from '../openpgp/keys';
import { isForWantOfKey, openMessage, readKeyPackets, type OpenedMessage } from '../openpgp/session-key';
import type { Vault } from './vault';

/** Session key packets for one recipient are far below this. */
export const MAX_KEYS_BYTES = 1 << 20;

/** Opens a stored message by its first bytes. Shows that a key fits without reading the rest. Throws NotFound, IntegrityMismatch, AuthRejected. */
export async function openStored(vault: Vault, name: string, keys: DecryptionKeys): Promise<OpenedMessage> {
  try {
    return await readStart(vault, name, (start) => openMessage(start, keys));
  } catch (error) {
    if (!isForWantOfKey(error)) throw error;
    const further = await wrappedFor(vault, name, keys);
    if (further.length === 0) throw error;
    return readStart(vault, name, (start) => openMessage(start, keys, further));
  }
}

/** Where the encrypted data of a stored message begins; needs no key. Throws NotFound, IntegrityMismatch. */
export function locateBody(vault: Vault, name: string): Promise<MessageStart> {
  return readStart(vault, name, (start) => Promise.resolve(readMessageStart(start)));
}

/** Reads more of the file until `take` has had enough. */
async function readStart<T>(vault: Vault, name: string, take: (start: Buffer) => Promise<T | null>): Promise<T> {
  for (let length = 16 * 1024; ; length *= 4) {
    const parts: Buffer[] = [];
    for await (const part of (await vault.read(name, { offset: 0, length })) as AsyncIterable<Buffer>) parts.push(part);
    const start = Buffer.concat(parts);
    const taken = await take(start);
    if (taken !== null) return taken;
    if (start.length < length) {
      throw new DrydockError('IntegrityMismatch', `${name} in ${vault.description} is cut short within its first packets`, { remedy: 'put the file back from a second copy of the vault, or use another backup' });
    }
  }
}

/** Session key packets that were added for any of these keys; empty when there are none. Throws IntegrityMismatch when all that there are are damaged. */
async function wrappedFor(vault: Vault, name: string, keys: DecryptionKeys): Promise<Buffer> {
  const packets: Buffer[] = [];
  let damaged: DrydockError | undefined;
  for (const recipient of await decryptionRecipients(keys)) {
    const file = vaultPaths.wrappedKeys(name, recipient);
    if ((await vault.stat(file)) === null) continue;
    const content = await vault.readAll(file, MAX_KEYS_BYTES);
    try {
      readKeyPackets(content);
      packets.push(content);
    } catch (error) {
      if (!(error instanceof DrydockError)) throw error;
      damaged = error;
    }
  }
  if (damaged && packets.length === 0) throw damaged;
  return Buffer.concat(packets);
}
