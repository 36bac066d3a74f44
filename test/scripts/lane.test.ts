import assert from 'node:assert/strict';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface OutputModule {
  OrderedOutput: new (write: (chunk: string) => void) => { open(): { write(chunk: string): void; end(): void } };
}
interface Queue {
  processes: string[];
  light: string[];
  atOnce: number;
  heavyAtOnce?: number;
}
interface QueueModule {
  runQueue(suite: Queue, run: (process: string) => Promise<void>): Promise<void>;
}
interface SuitesModule {
  allTestFiles(): string[];
  labsAtOnce(bytes: number): number;
  suitesOf(lane: 'fast' | 'all'): { processes: string[][]; light?: string[][] }[];
}

const load = async <T>(name: string): Promise<T> => (await import(pathToFileURL(path.resolve(__dirname, '..', '..', 'scripts', 'tests', name)).href)) as T;

describe('output of processes side by side', () => {
  it('shows the first live and keeps the others for their turn', async () => {
    const { OrderedOutput } = await load<OutputModule>('output.mjs');
    const shown: string[] = [];
    const output = new OrderedOutput((chunk) => shown.push(chunk));
    const [first, second, third] = [output.open(), output.open(), output.open()];
    second.write('b1');
    first.write('a1');
    assert.deepEqual(shown, ['a1']);
    second.end();
    first.write('a2');
    third.write('c1');
    first.end();
    assert.deepEqual(shown, ['a1', 'a2', 'b1', 'c1']);
    third.write('c2');
    assert.equal(shown.at(-1), 'c2');
  });
});

describe('a queue of test processes', () => {
  /** Runs it by a clock of its own, a lab four times as long as another, and tells in which order processes began and how many ran at once. */
  async function tried(suite: Queue): Promise<{ began: string[]; most: number; mostHeavy: number }> {
    const { runQueue } = await load<QueueModule>('queue.mjs');
    const began: string[] = [];
    const running = new Map<string, { endsAt: number; end: () => void }>();
    let [now, most, mostHeavy, over] = [0, 0, 0, false];
    const done = runQueue(suite, (process) => new Promise<void>((end) => {
      began.push(process);
      running.set(process, { endsAt: now + (suite.processes.includes(process) ? 4 : 1), end });
      most = Math.max(most, running.size);
      mostHeavy = Math.max(mostHeavy, [...running.keys()].filter((name) => suite.processes.includes(name)).length);
    })).finally(() => (over = true)); // prettier-ignore
    while (!over) {
      const [next] = [...running].sort(([, a], [, b]) => a.endsAt - b.endsAt);
      if (next) {
        running.delete(next[0]);
        now = next[1].endsAt;
        next[1].end();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await done;
    return { began, most, mostHeavy };
  }

  const labs = ['lab 1', 'lab 2', 'lab 3', 'lab 4'];
  const light = ['a', 'b', 'c'];

  it('takes a light process beside the labs first, then another lab, and begins every one once', async () => {
    const { began, most, mostHeavy } = await tried({ processes: labs, light, atOnce: 3 });
    assert.deepEqual([began.slice(0, 4), most, mostHeavy], [['lab 1', 'lab 2', 'a', 'b'], 3, 3]);
    assert.deepEqual([...began].sort(), [...light, ...labs]);
  });

  it('holds no more labs at once than there is memory for', async () => {
    const { began, most, mostHeavy } = await tried({ processes: labs, light, atOnce: 3, heavyAtOnce: 2 });
    assert.deepEqual([most, mostHeavy, [...began].sort()], [3, 2, [...light, ...labs]]);
  });

  it('takes one after the other where only one may run', async () => {
    assert.deepEqual(await tried({ processes: labs.slice(2), light, atOnce: 1 }), { began: ['lab 3', 'lab 4', 'a', 'b', 'c'], most: 1, mostHeavy: 1 });
  });
});

describe('suites', () => {
  let suites: SuitesModule;
  before(async () => {
    suites = await load<SuitesModule>('suites.mjs');
  });

  const everything = (lane: 'fast' | 'all'): string[] => suites.suitesOf(lane).flatMap(({ processes, light = [] }) => [...processes, ...light].flat());

  it('hold every test file once when all run, but for those of test:long', () => {
    assert.deepEqual(everything('all').sort(), suites.allTestFiles().filter((file) => !file.startsWith('test/sweep/')));
  });

  it('keep the labs and slow files out of the fast lane', () => {
    const fast = everything('fast');
    assert.ok(fast.includes('test/domain/gates.test.ts'));
    assert.deepEqual(fast.filter((file) => /^test\/(lab|e2e)\/|\.slow\.test\.ts$/.test(file)), []);
  });

  it('begin with the longest files that need a lab, and take those that need none beside them', () => {
    const [, { processes, light }] = suites.suitesOf('all') as [unknown, { processes: string[][]; light: string[][] }];
    assert.deepEqual(processes[0], ['test/e2e/restore-faults.test.ts']);
    assert.ok(processes.flat().every((file) => /^test\/(lab|e2e)\//.test(file)));
    assert.ok(light.length > 0 && light.flat().every((file) => !/^test\/(lab|e2e)\//.test(file)));
  });

  it('take several labs at once only where there is memory for them', () => {
    assert.deepEqual([4, 8, 16].map((gib) => suites.labsAtOnce(gib * 2 ** 30)), [1, 2, 2]);
  });
});
