/** Keys out of files and secrets: all of each, none passed over. */
import { readFile } from 'node:fs/promises';
import * as openpgp from 'openpgp';
import { DrydockError } from '../../domain/errors';
import { readKeyBlocks, unreadable, type KeyBlock } from './key-blocks';

/** All keys of one file, armoured in any number of blocks, or binary. Throws InvalidInput. */
export async function readKeyFile(file: string): Promise<openpgp.Key[]> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (cause) {
    throw new DrydockError('InvalidInput', `the public key file ${file} cannot be read`, { remedy: 'check that it exists and that the worker may read it', cause });
  }
  const blocks = await readKeyBlocks(content, file);
  if (blocks.length === 0) throw new DrydockError('InvalidInput', `${file} holds no OpenPGP public key`, { remedy: 'export one with: gpg --armor --export FINGERPRINT' });
  const keys: openpgp.Key[] = [];
  for (const block of blocks) keys.push(...(await keysOf(block, (binaryKeys) => openpgp.readKeys({ binaryKeys }))));
  return keys;
}

/** All private keys of an armoured text, locked as they are; public keys beside them say nothing. `name`: where it comes from, for people. Throws InvalidInput. */
export async function readPrivateKeys(armored: string, name: string): Promise<openpgp.PrivateKey[]> {
  const keys: openpgp.PrivateKey[] = [];
  for (const block of await readKeyBlocks(Buffer.from(armored), name)) {
    if (block.isPrivate) keys.push(...(await keysOf(block, (binaryKeys) => openpgp.readPrivateKeys({ binaryKeys }))));
  }
  if (keys.length > 0) return keys;
  throw new DrydockError('InvalidInput', `${name} holds no armoured OpenPGP private key`, { remedy: 'export one with: gpg --armor --export-secret-keys FINGERPRINT' });
}

async function keysOf<K>(block: KeyBlock, read: (packets: Uint8Array) => Promise<K[]>): Promise<K[]> {
  let keys: K[];
  try {
    keys = await read(block.packets);
  } catch (cause) {
    throw new DrydockError('InvalidInput', `${block.place}: the key block cannot be read`, { remedy: 'export the key anew with: gpg --armor --export FINGERPRINT (a private key: --export-secret-keys)', cause });
  }
  // OpenPGP.js leaves out, without a word, keys of a version that it does not know.
  if (keys.length !== block.keyCount) throw unreadable(block, keys.length);
  return keys;
}
