import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { OUTSIDE_CALLS, outsideCallsPage } from './calls';
import { FAULTS } from './rows';

const ROOT = path.resolve(__dirname, '..', '..');
const PAGE = path.join(ROOT, 'docs', 'outside-calls.md');
/** Modules by which a file reaches out. Types alone call nothing, but those of a client come with its objects. */
const REACHES_OUT = /^import (?:(?!type )[^;]*'node:(?:fs|fs\/promises|net|tls|http|https|dns|dgram|child_process)'|(?!type )[^;]*'(?:undici|dockerode|ssh2|@aws-sdk\/[^']+)')/m;

const source = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const inAdapters = readdirSync(path.join(ROOT, 'adapters'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).map((file) => `adapters/${file}`);

describe('the table of outside calls', () => {
  it('names tests that exist', () => {
    for (const { call, test: [file, title] } of OUTSIDE_CALLS) {
      const text = source(file);
      assert.ok([title, title.replaceAll('\'', '\\\'')].some((written) => titlesIn(text).some((line) => line.includes(written))), `${call}: ${file} has no test "${title}"`);
    }
  });

  it('covers every file of the adapters that reaches out', () => {
    const named = new Set(OUTSIDE_CALLS.flatMap(({ where }) => where));
    assert.deepEqual(inAdapters.filter((file) => REACHES_OUT.test(source(file)) && !named.has(file)), []);
    assert.deepEqual([...named].filter((file) => !inAdapters.includes(file)), [], 'files that are no more');
  });

  it('has rows for each fault, sixty at least, none twice, and in whole words', () => {
    assert.ok(OUTSIDE_CALLS.length >= 60);
    for (const fault of FAULTS) assert.ok(OUTSIDE_CALLS.filter((row) => row.fault === fault).length >= 8, fault);
    const keys = OUTSIDE_CALLS.map(({ call, fault, when }) => [call, fault, when].join());
    assert.equal(new Set(keys).size, keys.length);
    for (const row of OUTSIDE_CALLS) for (const text of [row.call, row.when, row.then]) assert.match(text, /\w{3}/);
  });

  it('stands in docs/ as it is', () => {
    if (process.env['DRYDOCK_TEST_WRITE']) writeFileSync(PAGE, outsideCallsPage());
    assert.equal(readFileSync(PAGE, 'utf8'), outsideCallsPage());
  });
});

/** Lines that give a test or a suite its title, wherever that is put together. */
function titlesIn(text: string): string[] {
  return text.split('\n').filter((line) => /\b(?:it|describe)\(|name: '/.test(line));
}
