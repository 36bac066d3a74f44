import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ERROR_KINDS, type ErrorKind } from '../../domain/errors';
import { EXIT, EXIT_CODES, exitCodeOf } from '../../domain/exit-codes';

describe('exit codes', () => {
  it('stand in the README, each with its meaning, and no others', () => {
    const readme = readFileSync(path.join(__dirname, '../../README.md'), 'utf8');
    const table = readme.slice(readme.indexOf('| Exit code | Meaning |')).split('\n\n', 1)[0]!.split('\n').slice(2);
    assert.deepEqual(table, Object.values(EXIT_CODES).map(({ code, meaning }) => `| ${code} | ${meaning} |`));
  });

  it('are given to every kind of error exactly once', () => {
    const given = Object.values(EXIT_CODES).flatMap(({ kinds }) => [...kinds] as ErrorKind[]);
    assert.deepEqual([...given].sort(), Object.keys(ERROR_KINDS).sort());
  });

  it('tell a cluster that is held from a name that is taken', () => {
    assert.deepEqual([exitCodeOf('Locked'), exitCodeOf('Conflict')], [EXIT.locked, EXIT.failed]);
  });

  it('do not call it wrong usage, or a name that does not exist, when Docker or DTR answer 400 or 404', () => {
    assert.deepEqual([exitCodeOf('InvalidInput', { status: 400 }), exitCodeOf('NotFound', { status: 404 })], [EXIT.failed, EXIT.failed]);
    assert.deepEqual([exitCodeOf('InvalidInput'), exitCodeOf('NotFound')], [EXIT.usage, EXIT.notFound]);
  });
});
