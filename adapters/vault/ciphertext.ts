/** The bytes of a stored file for a thread: read by the thread itself where the file lies on this machine, else as they come from the vault. */
import type { Readable } from 'node:stream';
import { vaultError } from './fs-errors';
import type { Ciphertext } from './opening';
import type { Vault } from './vault';

export interface OpenCiphertext {
  source: Ciphertext;
  /** The same bytes once more, from the first on. */
  again: () => Promise<Ciphertext>;
  /** When no thread reads any more. */
  close: () => Promise<void>;
}

/** Throws NotFound, and the signal's reason when it aborts. */
export async function openCiphertext(vault: Vault, name: string, signal?: AbortSignal): Promise<OpenCiphertext> {
  signal?.throwIfAborted();
  const file = await vault.openLocally?.(name);
  if (file) {
    const { size } = await file.stat().catch(async (error: unknown) => {
      await file.close();
      throw vaultError(error, vault.description, `read ${name}`);
    });
    const source = { fd: file.fd, bytes: size, signal };
    return { source, again: () => Promise.resolve(source), close: () => file.close() };
  }
  const open: Readable[] = [];
  const read = async (): Promise<AsyncGenerator<Buffer>> => {
    const stream = await vault.read(name);
    open.push(stream);
    return interruptible(stream, signal);
  };
  return {
    source: await read(),
    again: read,
    close: async () => {
      for (const stream of open) stream.destroy();
    },
  };
}

async function* interruptible(source: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  for await (const chunk of source as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    yield chunk;
  }
}
