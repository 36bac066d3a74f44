import assert from 'node:assert/strict';
import { BetweenMarks, marksOf } from '../../adapters/host/marks';

const marks = marksOf('0011223344556677', 'out');

/** What comes out of `text` when it arrives in pieces of `size` bytes. */
function through(bytes: Buffer, size: number): { own: Buffer; between: BetweenMarks } {
  const between = new BetweenMarks(marks);
  const own: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) own.push(...between.take(bytes.subarray(at, at + size)));
  own.push(between.rest());
  return { own: Buffer.concat(own), between };
}

describe('the output of a command between its marks', () => {
  const own = Buffer.from(`a${marks.end.slice(0, 12)}b@@drydock-@${marks.start}\0\xff${marks.end.slice(0, -1)}x@`, 'latin1');
  const whole = Buffer.concat([Buffer.from('Welcome, without an end @drydock-'), Buffer.from(`${marks.start} 4711\n`), own, Buffer.from(`${marks.end}137Goodbye\n`)]);

  it('is found byte by byte alike, in whatever pieces it comes', () => {
    for (let size = 1; size <= whole.length; size++) {
      const found = through(whole, size);
      assert.equal(found.own.toString('latin1'), own.toString('latin1'), `pieces of ${size}`);
      assert.deepEqual([found.between.word, found.between.code], ['4711', 137]);
    }
  });

  it('holds nothing back that cannot be the beginning of a mark', () => {
    const between = new BetweenMarks(marks);
    between.take(Buffer.from(`${marks.start} 1\n`));
    assert.equal(Buffer.concat(between.take(Buffer.from('a line\n'))).toString(), 'a line\n');
    assert.equal(Buffer.concat(between.take(Buffer.from('me@'))).toString(), 'me');
    assert.equal(Buffer.concat(between.take(Buffer.from('example'))).toString(), '@example');
  });

  it('hands a large piece on without a copy', () => {
    const between = new BetweenMarks(marks);
    between.take(Buffer.from(`${marks.start} 1\n`));
    const piece = Buffer.alloc(1 << 20, '@drydock');
    const [first] = between.take(piece);
    assert.equal(first!.buffer, piece.buffer);
  });

  it('has no code when its end never came', () => {
    const { between, own: found } = through(Buffer.from(`${marks.start} 1\ncut off${marks.end}`), 5);
    assert.equal(between.code, null);
    assert.equal(found.toString(), `cut off${marks.end}`);
  });

  it('tells when somebody prints without end, before and behind', () => {
    const before = new BetweenMarks(marks);
    for (let n = 0; n < 20; n++) before.take(Buffer.alloc(64 * 1024, 'y\n'));
    assert.equal(before.isFlooded, true);
    const behind = new BetweenMarks(marks);
    behind.take(Buffer.from(`${marks.start} 1\n${marks.end}000`));
    for (let n = 0; n < 20; n++) assert.deepEqual(behind.take(Buffer.alloc(64 * 1024, 'y\n')), []);
    assert.equal(behind.isFlooded, true);
    assert.ok(behind.foreign.length < 64 * 1024);
  });
});
