/** What people do in the Temporal UI: a browser in front of a site that a test file has brought up. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { castVote } from '../../client/votes';
import { startOperation } from '../../client/operations';
import type { BackupResult, DecideInput } from '../../domain/contract';
import { breakLab } from '../../lab/cli/break';
import type { Site } from './site';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'];

export function testUi(site: () => Site): void {
  describe('the Temporal UI in a browser', () => {
    let browser: Browser;
    let page: Page;

    before(async () => {
      assert.ok(existsSync(CHROMIUM), `there is no browser at ${CHROMIUM}: install Debian's chromium, or name another with CHROMIUM_PATH`);
      browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
      page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
      page.setDefaultTimeout(30_000);
    });
    after(async () => {
      await browser?.close();
    });

    const workflows = (): string => `${site().uiUrl}/namespaces/default/workflows`;

    /** Types one JSON object where the page has an editor for it. */
    async function typeJson(place: Page | Locator, value: unknown): Promise<void> {
      await place.locator('.cm-content').click();
      // In one go: the editor closes brackets that are typed one by one.
      await page.keyboard.insertText(JSON.stringify(value));
      // The first click elsewhere only formats the text.
      await place.getByText('(only single JSON payload supported)').click();
    }

    /** Opens the dialog of the menu of a run and sends the update; returns the dialog. */
    async function sendUpdate(workflowId: string, vote: DecideInput): Promise<Locator> {
      await page.goto(`${workflows()}/${encodeURIComponent(workflowId)}`);
      await page.getByRole('button', { name: 'More Actions' }).filter({ visible: true }).first().click();
      await page.getByText('Send an Update').filter({ visible: true }).first().click();
      const dialog = page.getByRole('dialog', { name: 'Send an Update' });
      await dialog.getByTestId('update-select-button').click();
      await page.getByRole('option', { name: /decide/ }).filter({ visible: true }).first().click();
      await typeJson(dialog, vote);
      await dialog.getByRole('button', { name: 'Submit' }).click();
      return dialog;
    }

    it('starts a backup from the form that the README links to, and shows it complete', async () => {
      const workflowId = 'backup/lab/from-the-ui';
      await page.goto(`${workflows()}/start-workflow?workflowType=backup&taskQueue=drydock&workflowId=${encodeURIComponent(workflowId)}`);
      await page.getByText('Task Queue is Active').waitFor();
      await typeJson(page, { cluster: 'lab' });
      await page.getByRole('button', { name: 'Start Workflow' }).click();
      await page.getByText('Workflow started successfully').click();

      const run = await site().end(workflowId);
      assert.equal(run.status, 'completed', run.error ?? '');
      assert.equal((run.result as BackupResult).status, 'complete');
      await page.goto(`${workflows()}/${encodeURIComponent(workflowId)}`);
      await page.getByText('Completed', { exact: true }).filter({ visible: true }).first().waitFor();
    });

    it('shows on its page why a mistyped start was refused, naming the field', async () => {
      const workflowId = 'backup/lab/mistyped';
      await page.goto(`${workflows()}/start-workflow?workflowType=backup&taskQueue=drydock&workflowId=${encodeURIComponent(workflowId)}`);
      await typeJson(page, { clutser: 'lab' });
      await page.getByRole('button', { name: 'Start Workflow' }).click();
      await page.getByText('Workflow started successfully').waitFor();
      const run = await site().end(workflowId);
      assert.equal(run.status, 'failed');
      assert.match(run.error ?? '', /clutser/);
      await page.goto(`${workflows()}/${encodeURIComponent(workflowId)}`);
      await page.getByText(/clutser/).filter({ visible: true }).first().waitFor();
    });

    describe('a restore at its plan gate', () => {
      let workflowId: string;
      let planDigest: string;

      before(async () => {
        await breakLab(site().lab, 'replica', []);
        ({ workflowId } = await startOperation(site().session, { type: 'restore', input: { cluster: 'lab', backup: 'latest' } }));
        ({ planDigest } = await site().gate(workflowId, 'plan'));
      });

      it('shows the plan and its digest as current details', async () => {
        await page.goto(`${workflows()}/${encodeURIComponent(workflowId)}`);
        await page.getByText('User Metadata', { exact: true }).filter({ visible: true }).first().click();
        await assertSomewhere(page, planDigest);
      });

      it('refuses the update of someone who is not an approver, with the sentence in the dialog', async () => {
        const dialog = await sendUpdate(workflowId, { gate: 'plan', decision: 'approve', by: 'mallory', planDigest });
        await dialog.getByText(/mallory.*not an approver/).first().waitFor();
        assert.equal((await site().gate(workflowId, 'plan')).planDigest, planDigest);
      });

      it('goes on to the next gate when an approver sends the update from the menu', async () => {
        const dialog = await sendUpdate(workflowId, { gate: 'plan', decision: 'approve', by: 'operator', reason: 'read on one screen', planDigest });
        await dialog.waitFor({ state: 'hidden' });
        const { name } = await site().gate(workflowId, 'destroy');
        assert.equal(name, 'destroy');
        await castVote(site().session, { workflowId, gate: 'destroy', decision: 'reject', by: 'second', reason: 'the test ends here' });
        const run = await site().end(workflowId);
        assert.match(run.error ?? '', /second/);
      });
    });
  });
}

/** The UI shows markdown in a frame of its own. */
async function assertSomewhere(page: Page, text: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await page.waitForTimeout(500)) {
    for (const frame of page.frames()) {
      if ((await frame.locator('body').innerText()).includes(text)) return;
    }
  }
  const shown = await page.locator('body').innerText();
  assert.fail(`the page at ${page.url()} does not show ${text}, but: ${shown}`);
}
