import assert from 'node:assert/strict';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface OutputModule {
  OrderedOutput: new (write: (chunk: string) => void) => { open(): { write(chunk: string): void; end(): void } };
}
interface SuitesModule {
  allTestFiles(): string[];
  labsAtOnce(bytes: number): number;
  suitesOf(lane: 'fast' | 'all'): { processes: string[][] }[];
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

describe('suites', () => {
  let suites: SuitesModule;
  before(async () => {
    suites = await load<SuitesModule>('suites.mjs');
  });

  const everything = (lane: 'fast' | 'all'): string[] => suites.suitesOf(lane).flatMap((suite) => suite.processes.flat());

  it('hold every test file once when all run', () => {
    assert.deepEqual(everything('all').sort(), suites.allTestFiles());
  });

  it('keep the labs and slow files out of the fast lane', () => {
    const fast = everything('fast');
    assert.ok(fast.includes('test/domain/gates.test.ts'));
    assert.deepEqual(fast.filter((file) => /^test\/(lab|e2e)\/|\.slow\.test\.ts$/.test(file)), []);
  });

  it('begin with the longest files that need a lab, and end with short ones that need none', () => {
    const [, queue] = suites.suitesOf('all');
    const files = queue!.processes.flat();
    assert.equal(files[0], 'test/e2e/restore-faults.test.ts');
    assert.match(files.at(-1)!, /\.slow\.test\.ts$/);
    assert.deepEqual(files.slice(files.findIndex((file) => file.includes('.slow.'))).filter((file) => /^test\/(lab|e2e)\//.test(file)), []);
  });

  it('take two labs at once only where there is memory for them', () => {
    assert.deepEqual([suites.labsAtOnce(4 * 2 ** 30), suites.labsAtOnce(16 * 2 ** 30)], [1, 2]);
  });
});
