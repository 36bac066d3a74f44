/**
 * The least that a first backup does with each byte: tar on the host, SSH, SHA-256 of the blob, SHA-1 (MDC) and AES-256-CFB of an OpenPGP
 * message, SHA-256 of the ciphertext, in as many threads as cores. Nothing is stored, parsed or kept, so what we take beyond it is ours:
 *   node minimal-path.js CORPUS PORT KEYFILE
 */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { Client } from 'ssh2';

interface Share {
  corpus: string;
  port: number;
  keyFile: string;
  files: string[];
}

function readShare({ corpus, port, keyFile, files }: Share): Promise<void> {
  const blob = createHash('sha256');
  const mdc = createHash('sha1');
  const ciphertext = createHash('sha256');
  const cipher = createCipheriv('aes-256-cfb', randomBytes(32), randomBytes(16));
  const client = new Client();
  return new Promise((resolve, reject) => {
    client.on('error', reject).on('ready', () => {
      client.exec(`tar -C '${corpus}' --null -T - -cf -`, (error, channel) => {
        if (error) return reject(error);
        channel.on('data', (piece: Buffer) => {
          blob.update(piece);
          mdc.update(piece);
          ciphertext.update(cipher.update(piece));
        });
        channel.on('close', () => {
          client.end();
          resolve();
        });
        channel.end(Buffer.from(`${files.join('\0')}\0`));
      });
    });
    client.connect({ host: '127.0.0.1', port, username: 'root', privateKey: readFileSync(keyFile), algorithms: { cipher: ['aes128-gcm@openssh.com'] } });
  });
}

/** Relative names and sizes of all files below. */
function filesIn(folder: string): { name: string; size: number }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => ({ name: path.relative(folder, file), size: statSync(file).size }));
}

async function main(): Promise<void> {
  const [corpus = '', port = '', keyFile = ''] = process.argv.slice(2);
  const shares = Array.from({ length: availableParallelism() }, () => ({ files: [] as string[], size: 0 }));
  for (const { name, size } of filesIn(corpus).sort((a, b) => b.size - a.size)) {
    const least = shares.reduce((a, b) => (b.size < a.size ? b : a));
    least.files.push(name);
    least.size += size;
  }
  await Promise.all(shares.map(({ files }) => new Promise<void>((resolve, reject) => {
    const share: Share = { corpus, port: Number(port), keyFile, files };
    new Worker(__filename, { workerData: share }).on('error', reject).on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a thread ended with ${code}`))));
  })));
}

(isMainThread ? main() : readShare(workerData as Share)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
