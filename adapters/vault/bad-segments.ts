/** `verdicts/<backup id>/<time>.segments.jsonl`: the segments that a verification found damaged. In clear: ids only. */
import { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { unanswered } from '../../domain/verdict';
import { vaultPaths } from '../../domain/vault-format';
import { readVerdicts } from './verdicts';
import type { Vault } from './vault';

const MAX_BYTES = 64 * 1024 * 1024;
const line = z.object({ segment: z.string() });

/** Stores the list; goes before its verdict. An empty one is none. */
export async function writeBadSegments(vault: Vault, cluster: string, backupId: string, at: string, segments: Iterable<string>): Promise<void> {
  const lines = [...new Set(segments)].sort().map((segment) => `${JSON.stringify({ segment })}\n`);
  if (lines.length > 0) await vault.put(vaultPaths.badSegments(cluster, backupId, at), lines.join(''));
}

/** Segments that a bad verdict names which no later good one has answered, each with the backup that was verified. */
export async function readBadSegments(vault: Vault, cluster: string): Promise<Map<string, string>> {
  const prefix = vaultPaths.verdicts(cluster);
  const lists = new Map<string, Set<string>>();
  for await (const { name } of vault.list(prefix)) {
    const [id = '', file = ''] = name.slice(prefix.length).split('/');
    if (file.endsWith('.segments.jsonl')) lists.set(id, (lists.get(id) ?? new Set()).add(name));
  }
  const bad = new Map<string, string>();
  for (const [id, names] of lists) {
    const verdicts = (await readVerdicts(vault, cluster, id)).get(id) ?? [];
    for (const { at } of unanswered(verdicts)) {
      const name = vaultPaths.badSegments(cluster, id, at);
      if (names.has(name)) for (const segment of await readList(vault, name)) bad.set(segment, id);
    }
  }
  return bad;
}

/** A line that cannot be read says nothing: the segment is found again by the next verification. */
async function readList(vault: Vault, name: string): Promise<string[]> {
  try {
    const text = (await vault.readAll(name, MAX_BYTES)).toString('utf8');
    return text.split('\n').flatMap((each) => {
      const parsed = each === '' ? undefined : line.safeParse(parse(each));
      return parsed?.success ? [parsed.data.segment] : [];
    });
  } catch (error) {
    if (error instanceof DrydockError && !error.retryable) return [];
    throw error;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
