import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { vaultError } from '../../adapters/vault/fs-errors';
import { DrydockError, ERROR_KINDS, noSuch, noVault, type ErrorKind } from '../../domain/errors';
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
    assert.equal(exitCodeOf('InvalidInput'), EXIT.usage);
  });

  it('say that there is no such cluster, backup or run of a name that a person gave alone, and never of what a backup or a host lacks', () => {
    const codeOf = ({ kind, details }: DrydockError): number => exitCodeOf(kind, details);
    assert.deepEqual([noSuch('no such backup'), new DrydockError('NotFound', 'the segment is not there'), noVault('the disk is not mounted')].map(codeOf), [EXIT.notFound, EXIT.failed, EXIT.unreachable]);
    assert.equal(codeOf(vaultError(Object.assign(new Error('gone'), { code: 'ENOENT' }), 'directory /vault', 'read a segment')), codeOf(new DrydockError('IntegrityMismatch', 'damaged')), 'what is gone ends as what is damaged');
  });
});
