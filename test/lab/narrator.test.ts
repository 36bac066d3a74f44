import assert from 'node:assert/strict';
import picocolors from 'picocolors';
import type { Console } from '../../client/console';
import { Narrator } from '../../lab/demo/narrator';
import { stopOnSignals } from '../../lab/demo/stop';

describe('the story of the demo', () => {
  it('is told line by line: a line end of our own would be shown as two characters', async () => {
    const lines: string[] = [];
    const take = (line: string): void => void lines.push(line);
    const screen: Console = { interactive: false, colors: picocolors.createColors(false), out: take, say: take, json: () => undefined };
    const narrator = new Narrator(screen);
    await narrator.chapter('Images are pushed', 'Real ones.', () => Promise.resolve());
    narrator.closingTable();
    const signal = stopOnSignals(take);
    process.emit('SIGHUP');
    assert.equal(signal.aborted, true);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, process.listeners(name).at(-1) as () => void);
    assert.deepEqual(lines.filter((line) => line.includes('\n')), []);
    assert.deepEqual(lines.slice(0, 3), ['', '1. Images are pushed', 'Real ones.']);
    assert.ok(lines.includes('Interrupted: removing what was started.'));
  });
});
