/** Stored outputs: `DRYDOCK_TEST_WRITE=1` writes them anew, to be read before they are committed. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Shown } from './screen';

const TEXTS = path.join(__dirname, 'texts');

/** Holds what a command showed in each form to the text that is stored under `name`. */
export function assertStored(name: string, command: string, forms: readonly (readonly [form: string, shown: Shown])[]): void {
  const parts = forms.map(([form, { code, text }], at) => {
    const same = forms.slice(0, at).find(([, earlier]) => earlier.text === text && earlier.code === code);
    return `=== ${form}${code === 0 ? '' : `, exit code ${code}`}\n${same === undefined ? text : `(as ${same[0]})\n`}`;
  });
  const content = `$ ${command}\n\n${parts.join('\n')}`;
  const file = path.join(TEXTS, `${name}.txt`);
  if (process.env.DRYDOCK_TEST_WRITE === '1') {
    mkdirSync(TEXTS, { recursive: true });
    writeFileSync(file, content);
    return;
  }
  assert.ok(existsSync(file), `no output is stored for ${name}: run with DRYDOCK_TEST_WRITE=1, and read ${file}`);
  assert.equal(content, readFileSync(file, 'utf8'));
}
