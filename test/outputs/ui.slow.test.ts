/** The texts of the Temporal UI as a real browser draws them: headings, lists and tables are counted. DRYDOCK_TEST_PICTURES=FOLDER keeps a picture of each. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import type { Activities } from '../../activities/contract';
import { freePort } from '../helpers/free-port';
import { withUi } from '../helpers/temporal';
import { failure, playActivities, POLICY } from '../workflows/fixtures/activities';
import { until, withRun, type Run } from '../workflows/fixtures/harness';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];
const PICTURES = process.env.DRYDOCK_TEST_PICTURES;
const BACKUP = '20261123T020000Z-1a2b3c';

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
    page = await browser.newPage({ viewport: { width: 1400, height: 1600 } });
    page.setDefaultTimeout(30_000);
    if (PICTURES !== undefined) mkdirSync(PICTURES, { recursive: true });
  });
  after(() => browser?.close());

  /** The current details of a run, as they are drawn. */
  async function drawn(run: Run, name: string): Promise<Drawn> {
    await page.goto(`http://127.0.0.1:${port}/namespaces/default/workflows/${encodeURIComponent(run.handle.workflowId)}`);
    await page.getByText('User Metadata', { exact: true }).filter({ visible: true }).first().click();
    const frame = await until(async () => {
      for (const each of page.frames()) if (each !== page.mainFrame() && /State/.test(await each.locator('body').innerText().catch(() => ''))) return each;
      return undefined;
    }, 'the current details');
    if (PICTURES !== undefined) await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
    return frame.evaluate(() => {
      const { document } = globalThis as unknown as { document: { body: { innerText: string }; querySelectorAll(what: string): Iterable<{ textContent: string | null }> } };
      const all = (what: string): string[] => [...document.querySelectorAll(what)].map(({ textContent }) => (textContent ?? '').trim());
      return { headings: all('h1, h2, h3'), items: all('li').length, rows: all('tbody tr').length, text: document.body.innerText };
    });
  }

  /** Markdown that was not understood stands there as it was written. */
  function assertWhole({ headings, text }: Drawn): void {
    assert.doesNotMatch(text, /^\s*(#{1,3} |- |\| )/m, 'a mark of a heading, a list or a table is left');
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
});
