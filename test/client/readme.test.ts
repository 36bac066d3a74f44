/** What the README shows must be as the program has it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Command } from 'commander';
import { createProgram } from '../../client/program';
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

  it('list every command, and what each prints with --json', () => {
    const rows = README.split('\n').filter((line) => line.startsWith('| '));
    for (const { name, command } of leaves(createProgram('0', () => undefined))) {
      assert.ok(rows.some((row) => row.includes(`\`drydock ${name}`)), `no row for ${name}`);
      const printed = new RegExp(`^\\|[^|]*\`${name}[ \`]`);
      if (command.options.some(({ long }) => long === '--json')) assert.ok(rows.some((row) => printed.test(row) && !row.includes('`drydock ')), `nothing on ${name} --json`);
    }
  });
});

/** Commands that do something, by their whole name. */
function leaves(of: Command, before = ''): { name: string; command: Command }[] {
  return of.commands.flatMap((command) => (command.commands.length > 0 ? leaves(command, `${before}${command.name()} `) : [{ name: before + command.name(), command }]));
}

/** Names of all properties in a JSON schema, however deep; names that a user chooses are none. */
function fields(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(fields);
  if (schema === null || typeof schema !== 'object') return [];
  return Object.entries(schema).flatMap(([key, value]) => [...(key === 'properties' ? Object.keys(value as object) : []), ...fields(value)]);
}
