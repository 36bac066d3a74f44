'use strict';
/**
 * Mocha reporter: each title as it ends, with its duration; each failure at once and in full. When DRYDOCK_TEST_RESULTS names a
 * file, every result is appended to it as one line of JSON, so that scripts/tests can add several processes up. DRYDOCK_TEST_COLOUR says
 * that a person looks on at the other end of a pipe.
 */
const { appendFileSync } = require('node:fs');
const path = require('node:path');
const Mocha = require('mocha');

const { EVENT_RUN_END, EVENT_SUITE_BEGIN, EVENT_SUITE_END, EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING } = Mocha.Runner.constants;

/** Long enough for servers and connections to close by themselves. */
const LINGER_MS = 10_000;

const colour = process.env.DRYDOCK_TEST_COLOUR === '1' || (process.stdout.isTTY && !process.env.NO_COLOR);
const paint = (code, text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);

class DrydockReporter {
  constructor(runner) {
    this.resultsFile = process.env.DRYDOCK_TEST_RESULTS;
    this.counts = { passed: 0, failed: 0, skipped: 0 };
    this.depth = 0;
    runner.on(EVENT_SUITE_BEGIN, (suite) => this.begin(suite));
    runner.on(EVENT_SUITE_END, () => {
      this.depth -= 1;
    });
    runner.on(EVENT_TEST_PASS, (test) => this.passed(test));
    runner.on(EVENT_TEST_PENDING, (test) => this.skipped(test));
    runner.on(EVENT_TEST_FAIL, (test, error) => this.failed(test, error));
    runner.once(EVENT_RUN_END, () => this.end());
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => this.interrupt(runner, signal));
  }

  /** Ends the running test at once and lets the clean-up hooks run; a second signal, a second later, ends the process. */
  interrupt(runner, signal) {
    const now = Date.now();
    if (this.interruptedAt !== undefined && now - this.interruptedAt < 1000) return;
    if (this.interruptedAt !== undefined) process.exit(130);
    this.interruptedAt = now;
    this.record('interrupted');
    runner.abort();
    runner.currentRunnable?.callback?.(new Error(`interrupted by ${signal}`));
  }

  begin(suite) {
    if (suite.title) this.print(suite.title);
    this.depth += 1;
  }

  passed(test) {
    this.counts.passed += 1;
    this.print(`${paint(32, 'ok')}   ${test.title} ${paint(2, `(${test.duration} ms)`)}`);
    this.record('pass', test);
  }

  skipped(test) {
    this.counts.skipped += 1;
    this.print(`${paint(33, 'skip')} ${test.title}`);
    this.record('skip', test);
  }

  failed(test, error) {
    this.counts.failed += 1;
    this.print(`${paint(31, 'FAIL')} ${test.title}${test.duration === undefined ? '' : ` (${test.duration} ms)`}`);
    for (const line of describe(error).split('\n')) this.print(`       ${line}`);
    this.record('fail', test, describe(error));
  }

  end() {
    this.record('end');
    if (!this.resultsFile) {
      const { passed, failed, skipped } = this.counts;
      process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
    }
    setTimeout(() => {
      process.stderr.write(`tests ended, but something keeps the process alive: ${process.getActiveResourcesInfo().join(', ')}\n`);
      process.exit(this.counts.failed > 0 ? 1 : 0);
    }, LINGER_MS).unref();
  }

  print(text) {
    process.stdout.write(`${'  '.repeat(Math.max(0, this.depth))}${text}\n`);
  }

  record(type, test, message) {
    if (!this.resultsFile) return;
    const result = test === undefined ? { type } : { type, file: path.relative(process.cwd(), test.file ?? ''), title: test.fullTitle(), ms: test.duration, message };
    appendFileSync(this.resultsFile, `${JSON.stringify(result)}\n`);
  }
}

/** Message with the difference of an assertion, and the part of the stack that lies in this clone. */
function describe(error) {
  const stack = String(error?.stack ?? error);
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line) && !/node_modules|node:internal/.test(line));
  const cause = error?.cause ? `\ncaused by: ${String(error.cause?.message ?? error.cause)}` : '';
  return `${error?.name ?? 'Error'}: ${error?.message ?? String(error)}${cause}\n${frames.slice(0, 6).join('\n')}`.trimEnd();
}

module.exports = DrydockReporter;
