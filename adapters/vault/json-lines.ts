/** Artifacts that are long lists: one JSON object a line, compressed. */
import { StringDecoder } from 'node:string_decoder';
import { Readable } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import type { DecryptionKeys, EncryptionKeys } from '../openpgp/keys';
import { readArtifact, writeArtifact, type ArtifactRecord } from './artifacts';
import type { Vault } from './vault';

const LINES_PER_WRITE = 500;

/** Stores a list as `.jsonl.gz.gpg`. Throws as `writeArtifact` does. */
export function writeJsonLines(vault: Vault, name: string, keys: EncryptionKeys, rows: Iterable<unknown> | AsyncIterable<unknown>, options: { signal?: AbortSignal } = {}): Promise<ArtifactRecord> {
  return writeArtifact(vault, name, keys, Readable.from(linesOf(rows), { objectMode: false }), { ...options, gzip: true });
}

/** Reads such a list back, row by row. The shape of a row is for the caller to check. Throws as `readArtifact` does, and IntegrityMismatch. */
export async function* readJsonLines(vault: Vault, record: ArtifactRecord, keys: DecryptionKeys, options: { signal?: AbortSignal } = {}): AsyncGenerator<unknown> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of (await readArtifact(vault, record, keys, { ...options, gunzip: true })) as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield parseLine(line, record.name);
  }
  if (rest !== '') throw damaged(record.name, 'its last line is not complete');
}

async function* linesOf(rows: Iterable<unknown> | AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  let lines: string[] = [];
  for await (const row of rows) {
    lines.push(`${JSON.stringify(row)}\n`);
    if (lines.length < LINES_PER_WRITE) continue;
    yield Buffer.from(lines.join(''));
    lines = [];
  }
  if (lines.length > 0) yield Buffer.from(lines.join(''));
}

function parseLine(line: string, name: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw damaged(name, 'it has a line that is not JSON');
  }
}

function damaged(name: string, why: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the list ${name} is damaged: ${why}`, { remedy: 'use another backup' });
}
