import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '..', '..');

const fixture = (name: string): string => `test/scripts/fixtures/${name}.fixture.ts`;

function run(args: string[], env: NodeJS.ProcessEnv = {}): { code: number | null; lines: string[]; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/run.mjs', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, DRYDOCK_TEST_RESULTS: '', ...env },
  });
  return { code: status, lines: stdout.trimEnd().split('\n'), stderr };
}

describe('running tests', function () {
  this.timeout(120_000);
  it('ends with the line of totals and exit code 0 when all pass', () => {
    const { code, lines } = run(['test', fixture('passing')]);
    assert.equal(lines.at(-1), '1 passed, 0 failed, 1 skipped');
    assert.equal(code, 0);
  });

  it('names what failed and ends with exit code 1', () => {
    const { code, lines } = run(['test', fixture('failing')]);
    assert.equal(lines.at(-1), '1 passed, 1 failed');
    const summary = lines.slice(lines.indexOf('Failed:')).join('\n');
    assert.ok(summary.startsWith(`Failed:\n  ${fixture('failing')}: fixture fails\n    AssertionError: Expected values to be strictly equal:\n`), summary);
    assert.match(summary, /1 !== 2/);
    assert.equal(code, 1);
  });

  it('reports a file that cannot even be loaded, with the reason', () => {
    const { code, lines } = run(['test', fixture('broken')]);
    assert.equal(lines.at(-1), '0 passed, 1 failed');
    const summary = lines.slice(lines.indexOf('Failed:')).join('\n');
    assert.ok(summary.includes(`${fixture('broken')}: test process`), summary);
    assert.match(summary, /the fixture breaks while it is loaded/);
    assert.equal(code, 1);
  });

  it('counts a test process that died as a failure and keeps what had passed', () => {
    const { code, lines } = run(['test', fixture('crashing')]);
    assert.equal(lines.at(-1), '1 passed, 1 failed');
    assert.equal(code, 1);
  });

  it('fails when no test ran', () => {
    const { code, lines } = run(['test', fixture('empty')]);
    assert.equal(lines.at(-1), '0 passed, 0 failed');
    assert.equal(code, 1);
  });
});

describe('test processes side by side', function () {
  this.timeout(120_000);

  function sideBySide(...names: string[]): { results: { passed: number; failed: number }; said: string } {
    const folder = mkdtempSync(path.join(tmpdir(), 'drydock-side-'));
    try {
      const program = `import { runSuite } from './scripts/tests/lane.mjs'; import { noResults } from './scripts/tests/results.mjs';
        const results = noResults(); await runSuite({ processes: ${JSON.stringify(names.map((name) => [fixture(name)]))}, atOnce: 2, againAlone: true }, results, { options: [] }); console.log(JSON.stringify(results));`;
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: ROOT, encoding: 'utf8', env: { ...process.env, DRYDOCK_FIXTURE_MARK: path.join(folder, 'mark') } });
      return { results: JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as { passed: number; failed: number }, said: stdout };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('run what failed once more alone, and say so when it passes then', () => {
    const { results, said } = sideBySide('passing', 'starved');
    assert.deepEqual([results.passed, results.failed], [2, 0]);
    assert.match(said, /-- passed alone; in company had failed: fixture fails the first time/);
  });

  it('count what fails alone, too, as failed', () => {
    const { results } = sideBySide('passing', 'failing');
    assert.deepEqual([results.passed, results.failed], [2, 1]);
  });
});

describe('the door of the commands', function () {
  this.timeout(60_000);

  it('refuses an unknown command in a sentence that names the known ones', () => {
    const { code, stderr } = run(['nonsense']);
    assert.equal(code, 1);
    assert.match(stderr, /Unknown command nonsense\.\n {2}Known: demo, lab, test, test-all/);
  });

  it('refuses a TEMPORAL_CLI_PATH that names no program', () => {
    const { code, stderr } = run(['test', fixture('passing')], { TEMPORAL_CLI_PATH: '/nowhere/temporal' });
    assert.equal(code, 1);
    assert.match(stderr, /TEMPORAL_CLI_PATH names \/nowhere\/temporal, which is no program\.\n {2}Correct the variable/);
  });
});
