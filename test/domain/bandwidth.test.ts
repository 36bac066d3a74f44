import assert from 'node:assert/strict';
import { bandwidthAt } from '../../domain/bandwidth';

const at = (time: string): number => Date.parse(`2026-11-23T${time}:00Z`);
const MIB = 1024 * 1024;

describe('the bandwidth of a host', () => {
  it('is without limit where no rule holds', () => {
    assert.equal(bandwidthAt([], at('12:00')), null);
    assert.equal(bandwidthAt([{ mibPerSecond: 5, from: '08:00', to: '18:00' }], at('18:00')), null);
  });

  it('is that of the first rule whose span holds the time, which may pass midnight', () => {
    const rules = [
      { mibPerSecond: 5, from: '08:00', to: '18:00' },
      { mibPerSecond: 50, from: '22:00', to: '06:30' },
      { mibPerSecond: 20 },
    ];
    assert.deepEqual(
      ['07:59', '08:00', '17:59', '18:00', '22:00', '00:00', '06:29', '06:30'].map((time) => bandwidthAt(rules, at(time))! / MIB),
      [20, 5, 5, 20, 50, 50, 50, 20],
    );
  });
});
