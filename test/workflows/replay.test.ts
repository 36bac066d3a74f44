import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from '@temporalio/worker';
import { builtWorkflows } from '../helpers/product';

/** Histories of real runs (`temporal workflow show -o json`); a change that breaks one needs `patched`. */
const HISTORIES = path.join(__dirname, 'histories');

describe('recorded histories', function () {
  this.timeout(60_000);

  it('replay with the workflow code of today', async () => {
    const files = (await readdir(HISTORIES)).filter((file) => file.endsWith('.json'));
    assert.ok(files.length >= 3);
    // One worker for all: its start costs more than what it replays.
    const replayed: string[] = [];
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle: builtWorkflows() }, histories(files))) {
      assert.equal(error, undefined, `${workflowId}: ${String(error)}`);
      replayed.push(workflowId);
    }
    assert.deepEqual(replayed.sort(), files.map((file) => file.replace('.json', '')).sort());
  });

  async function* histories(files: string[]): AsyncIterable<{ workflowId: string; history: unknown }> {
    for (const file of files) yield { workflowId: file.replace('.json', ''), history: JSON.parse(await readFile(path.join(HISTORIES, file), 'utf8')) };
  }

  it('of other workflow code are refused, so the test above can fail', async () => {
    const bundle = builtWorkflows();
    const text = await readFile(path.join(HISTORIES, 'backup.json'), 'utf8');
    const other: unknown = JSON.parse(text.replaceAll('"recordFreeze"', '"somethingElse"'));
    await assert.rejects(Worker.runReplayHistory({ workflowBundle: bundle }, other, 'other'), /[Nn]on-?determinism|Activity/);
  });
});
