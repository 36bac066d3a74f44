/** What the README shows must be as the program has it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { EXIT_CODE_MEANINGS } from '../../client/exit-codes';
import { configSchema } from '../../domain/config';
import { loadConfig } from '../../worker/config';

const README = readFileSync(path.join(__dirname, '../../README.md'), 'utf8');

describe('the tables and the example of the README', () => {
  it('show a configuration that is valid and has every field', async () => {
    const example = /```yaml\n([^]*?)```/.exec(README)?.[1] ?? '';
    const folder = mkdtempSync(path.join(tmpdir(), 'drydock-readme-'));
    try {
      const file = path.join(folder, 'drydock.yaml');
      writeFileSync(file, example);
      await loadConfig(file);
    } finally {
      rmSync(folder, { recursive: true });
    }
    for (const field of fields(z.toJSONSchema(configSchema, { io: 'input' }))) assert.match(example, new RegExp(`\\b${field}:`), `the example does not show ${field}`);
  });

  it('list every exit code as the help does', () => {
    for (const [code, meaning] of Object.entries(EXIT_CODE_MEANINGS)) assert.ok(README.includes(`| ${code} | ${meaning} |`), `exit code ${code}`);
  });
});

/** Names of all properties in a JSON schema, however deep; names that a user chooses are none. */
function fields(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(fields);
  if (schema === null || typeof schema !== 'object') return [];
  return Object.entries(schema).flatMap(([key, value]) => [...(key === 'properties' ? Object.keys(value as object) : []), ...fields(value)]);
}
