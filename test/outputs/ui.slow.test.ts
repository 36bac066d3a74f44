/** The texts of the Temporal UI as a real browser draws them: headings, lists and tables are counted. DRYDOCK_TEST_PICTURES=FOLDER keeps a picture of each. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import type { Activities } from '../../activities/contract';
import { freePort } from '../helpers/free-port';
import { withUi } from '../helpers/temporal';
import { failure, playActivities, POLICY, untilCancelled, VERIFIED } from '../workflows/fixtures/activities';
import { until, withRun, type Run } from '../workflows/fixtures/harness';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];
const PICTURES = process.env.DRYDOCK_TEST_PICTURES;
const BACKUP = '20261123T020000Z-1a2b3c';
/** A computer's window, and a phone's. */
const WIDE = { width: 1400, height: 1600 };
const NARROW = { width: 400, height: 1600 };

/** What the drawn text consists of. */
interface Drawn {
  headings: string[];
  items: number;
  rows: number;
  text: string;
}

describe('the Temporal UI', function () {
  this.timeout(180_000);
  let port: number;
  let browser: Browser;
  let page: Page;

  before(async () => {
    assert.ok(existsSync(CHROMIUM), `there is no browser at ${CHROMIUM}: install Debian's chromium, or name another with CHROMIUM_PATH`);
    port = await freePort();
    withUi(port);
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage({ viewport: WIDE });
    page.setDefaultTimeout(30_000);
    if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true });
  });
  after(() => browser?.close());

  /** The current details of a run, as they are drawn. */
  async function drawn(run: Run, name: string): Promise<Drawn> {
    // A page that was drawn in the moment in which the run began says that there is none, until it is loaded again.
    await until(async () => {
      await page.goto(`http://127.0.0.1:${port}/namespaces/default/workflows/${encodeURIComponent(run.handle.workflowId)}`);
      return page.getByText('User Metadata', { exact: true }).filter({ visible: true }).first().click({ timeout: 15_000 }).then(() => true, () => undefined);
    }, `the page of ${name}`, 60);
    const frame = await until(async () => {
      for (const each of page.frames()) if (each !== page.mainFrame() && /State/.test(await each.locator('body').innerText().catch(() => ''))) return each;
      return undefined;
    }, 'the current details');
    const found = await frame.evaluate(() => {
      const { document } = globalThis as unknown as { document: { body: { innerText: string }; querySelectorAll(what: string): Iterable<{ textContent: string | null }> } };
      const all = (what: string): string[] => [...document.querySelectorAll(what)].map(({ textContent }) => (textContent ?? '').trim());
      return { headings: all('h1, h2, h3'), items: all('li').length, rows: all('tbody tr').length, text: document.body.innerText };
    });
    if (PICTURES !== undefined) {
      for (const [width, viewport] of [['wide', WIDE], ['narrow', NARROW]] as const) {
        await page.setViewportSize(viewport);
        // The page gives the text its height when it loads.
        await page.reload();
        await page.getByText('Current Details').filter({ visible: true }).first().waitFor();
        await page.waitForTimeout(1500);
        await page.screenshot({ path: path.join(PICTURES, `${name}-${width}.png`), fullPage: true });
      }
      await page.setViewportSize(WIDE);
    }
    return found;
  }

  /** Markdown that was not understood stands there as it was written. */
  function assertWhole({ headings, text }: Drawn): void {
    assert.doesNotMatch(text, /^\s*(#{1,3} |- |\| )/m, 'a mark of a heading, a list or a table is left');
    assert.doesNotMatch(text, /&[a-z]+;/, 'a letter stands there by its name');
    for (const heading of headings) assert.ok(heading.length < 120 && !heading.includes('\n'), `a heading that runs on: ${heading}`);
  }

  /** `changes`: what the outside plays; `to`: brings the run where it is looked at. */
  async function look(type: string, name: string, changes: Partial<Activities>, input: Record<string, unknown>, to: (run: Run) => Promise<unknown>): Promise<Drawn> {
    return withRun(type, playActivities(changes).activities, async (run) => {
      await to(run);
      const found = await drawn(run, name);
      assertWhole(found);
      return found;
    }, input);
  }

  const through = (...gates: string[]) => async (run: Run): Promise<void> => {
    for (const gate of gates) {
      await run.gate(gate);
      if (gate !== gates.at(-1)) await run.decide({});
    }
  };

  it('shows the plan of a restore with its question, its choices, its digest and its steps', async () => {
    const { headings, items, rows, text } = await look('restore', 'restore-plan', {}, {}, through('plan'));
    assert.match(headings[0] ?? '', /^Waiting for people at the gate plan$/);
    assert.ok(headings.length >= 3, headings.join(' | '));
    assert.ok(items >= 4 && rows >= 9, `${items} items, ${rows} rows`);
    assert.match(text, /planDigest: d{64}/);
  });

  it('shows at the point of no return what is about to be destroyed', async () => {
    const { headings, text } = await look('restore', 'restore-destroy', {}, {}, through('plan', 'destroy'));
    assert.match(headings[0] ?? '', /gate destroy$/);
    assert.match(text, /POINT OF NO RETURN/);
  });

  it('shows a step that failed behind it with the cause, the choices and the state of the registry', async () => {
    const { headings, items, text } = await look('restore', 'restore-metadata-failed', { restoreMetadata: async () => { throw failure('BootstrapperFailed', 'phase 2 failed.'); } }, {}, through('plan', 'destroy', 'metadata-failed'));
    assert.match(headings[0] ?? '', /gate metadata-failed$/);
    assert.ok(items >= 2);
    assert.match(text, /As it is now: The images lie on node-1/);
  });

  it('shows what differs after a restore under headings of its own', async () => {
    const confirmRestore: Activities['confirmRestore'] = async () => ({
      repositories: 1, tags: 2, pulled: 0, differences: ['the repository acme/old is not there'], differenceCount: 1, missing: ['acme/web:1: it is not there'], missingCount: 1, notJudged: ['acme/web:2 is deeper than 5 lists'], digest: 'e'.repeat(64),
    });
    const { headings, items } = await look('restore', 'restore-confirm', { readPolicy: async () => ({ ...POLICY, releaseGate: false }), confirmRestore }, {}, through('plan', 'destroy', 'confirm'));
    assert.ok(headings.length >= 4 && items >= 6, `${headings.join(' | ')}, ${items} items`);
  });

  it('shows at the release which crons come back', async () => {
    const { items } = await look('restore', 'restore-release', {}, {}, through('plan', 'destroy', 'release'));
    assert.ok(items >= 3, `${items} items`);
  });

  it('shows a backup with each step and its state', async () => {
    const { rows, text } = await look('backup', 'backup', {}, {}, (run) => run.handle.result());
    assert.ok(rows >= 8, `${rows} rows`);
    assert.match(text, /done/);
  });

  it('shows what is still switched off while putting back fails', async () => {
    const policy = { ...POLICY, putBack: { warnAfter: 1, giveUpAfter: 3600 } };
    const { text } = await look('backup', 'backup-thaw-failing', { readPolicy: async () => policy, thaw: async () => { throw failure('RegistryUnavailable', 'DTR does not answer'); } }, {}, (run) =>
      until(async () => ((await run.state()).warnings.length > 0 ? true : undefined), 'the warning', 60));
    assert.match(text, /Warning: /);
  });

  it('shows what is lost and what remains at the gate of a forget', async () => {
    const details = ['## Forget backup X of lab', '', '### What is lost', '', '- it is verified', '', '### What remains', '', '- no other backup'].join('\n');
    const { headings, items } = await look('forget', 'forget', { planForget: async () => ({ backupId: BACKUP, gate: 'it is the last verified one', details, digest: 'f'.repeat(64) }) }, { backup: BACKUP }, through('forget'));
    assert.ok(headings.length >= 4 && items >= 4, `${headings.join(' | ')}, ${items} items`);
  });

  const done = (run: Run): Promise<unknown> => run.handle.result();
  const runningStep = (name: string) => (run: Run): Promise<unknown> =>
    until(async () => ((await run.state()).steps.some((step) => step.name === name && step.state === 'running') ? true : undefined), `the step ${name}`);

  it('shows a verification that runs, and one without findings, as one step with its state', async () => {
    const running = await look('verify', 'verify-running', { verifyBackup: untilCancelled }, { backup: BACKUP }, runningStep('verify'));
    assert.deepEqual([running.headings, running.items, running.rows], [[], 0, 1]);
    assert.match(running.text, /Verify\s+running/);
    const good = await look('verify', 'verify-good', {}, { backup: BACKUP }, done);
    assert.deepEqual([good.headings, good.items, good.rows], [[], 0, 1]);
    assert.match(good.text, /Verify\s+done\s+L2: good/);
  });

  it('shows what a verification has found by image, and of many that there are more', async () => {
    const finding = { image: 'acme/web:1', digest: `sha256:${'a'.repeat(64)}`, segment: null, file: 'lab/segments/5eb9459a.tar.gpg', what: 'is not what was sealed', lastBackup: null, intactIn: 'mirror' };
    const odd = { ...finding, image: null, what: '| <b>*not* a mark</b>\n# nor a heading', file: null };
    const verifyBackup: Activities['verifyBackup'] = async () => ({ ...VERIFIED, result: 'bad', findingCount: 30, findings: [finding, odd, ...Array.from({ length: 20 }, () => finding)], notes: ['the clock of the vault differs by 90 s'] });
    const { headings, items, rows, text } = await look('verify', 'verify-findings', { verifyBackup }, { backup: BACKUP }, done);
    assert.deepEqual([headings, items, rows], [['Findings', 'Notes'], 22, 1]);
    assert.match(text, /acme\/web:1: is not what was sealed \(lab\/segments\/5eb9459a\.tar\.gpg\); intact in mirror/);
    assert.match(text, /no image: \| <b>\*not\* a mark<\/b> # nor a heading/);
    assert.match(text, /and 10 more: in the result of the run/);
  });

  const prune: Activities['prune'] = async ({ cluster, dryRun, vault }) => ({
    cluster, dryRun, ...(vault === undefined ? {} : { vault }), counts: { kept: 1, givenUp: 1 }, lifted: 0, removableFrom: '2026-11-30T00:00:00.000Z',
    decisions: [{ id: BACKUP, keep: true, why: 'kept: one of the last 3' }, { id: '20261001T020000Z-1a2b3c', keep: false, why: 'given up: no rule keeps it' }],
    removed: { backups: ['20260901T020000Z-1a2b3c'], segments: 2, bytes: 3 * 2 ** 20 }, marked: { backups: ['20261001T020000Z-1a2b3c'], segments: 1, bytes: 2 ** 20 },
    notes: dryRun ? [] : ['the segment 5eb9459a has no index: it is kept'],
  });

  it('shows a prune with what went in the vault and in each copy, and a copy that could not be reached', async () => {
    const policy = { ...POLICY, copies: ['mirror', 'bucket'] };
    const beside: Activities['prune'] = async (input) => {
      if (input.vault === 'bucket') throw failure('VaultUnavailable', 'The vault bucket cannot be reached.');
      return prune(input);
    };
    const { headings, items, rows, text } = await look('prune', 'prune', { readPolicy: async () => policy, prune: beside }, {}, done);
    assert.deepEqual([headings, items, rows], [['Notes', 'Notes in mirror'], 2, 3]);
    assert.match(text, /done\s+1 backup, 2 segments, 3\.0 MiB removed; 1 backup, 1 segment marked/);
    assert.match(text, /Retention in bucket\s+failed/);
    assert.match(text, /Warning: Retention in the copy bucket did not end: The vault bucket cannot be reached\./);
  });

  it('shows of a dry run what would go and why, and never says that it went', async () => {
    const { headings, items, rows, text } = await look('prune', 'prune-dry-run', { prune }, { dryRun: true }, done);
    assert.deepEqual([headings, items, rows], [['What stays and what would go'], 2, 1]);
    assert.match(text, /20261001T020000Z-1a2b3c: given up: no rule keeps it/);
    assert.match(text, /MiB would be removed; 1 backup, 1 segment would be marked/);
  });

  it('shows a copy that runs with the copies that are to come', async () => {
    const { rows, text } = await look('copy', 'copy-running', { readPolicy: async () => ({ ...POLICY, copies: ['mirror', 'bucket'] }), copyBackups: untilCancelled }, {}, runningStep('copy-mirror'));
    assert.equal(rows, 2);
    assert.match(text, /Copy to mirror\s+running\s+Copy to bucket\s+waiting/);
  });

  it('shows what a copy has found damaged and what it has left out, by vault', async () => {
    const copyBackups: Activities['copyBackups'] = async ({ to }) => ({
      vault: to, copied: [], already: 3, objects: 0, bytes: 0, leftOut: [{ id: BACKUP, why: 'it is given up' }], notes: [], findingCount: 1,
      findings: [{ backupId: BACKUP, segment: null, file: 'lab/segments/5eb9459a.tar.gpg', vault: 'main', what: 'is not what was sealed', intactIn: null }],
    });
    const { headings, items, rows, text } = await look('copy', 'copy-findings', { readPolicy: async () => ({ ...POLICY, copies: ['mirror'] }), copyBackups }, {}, done);
    assert.deepEqual([headings, items, rows], [['Findings on the way to mirror', 'Not copied to mirror'], 2, 1]);
    assert.match(text, /0 copied, 3 there before, 0\.0 MiB moved; 1 finding/);
  });

  it('shows a reconcile that runs, and at its end what was put right and what a person must look at', async () => {
    const running = await look('reconcile', 'reconcile-running', { listChanges: untilCancelled }, {}, runningStep('look'));
    assert.equal(running.rows, 3);
    assert.match(running.text, /Look for what was left changed\s+running/);
    const sweepContainers: Activities['sweepContainers'] = async () => ({ putBack: [], left: ['The restore restore/lab/1 has destroyed 5eb9459a7832 on node-1 and did not come to its end.'] });
    const { headings, items, rows } = await look('reconcile', 'reconcile', { sweepContainers }, {}, done);
    assert.deepEqual([headings, items, rows], [['Left as it is', 'Put right'], 2, 3]);
  });
});
