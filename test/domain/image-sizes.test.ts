import assert from 'node:assert/strict';
import { ImageSizes } from '../../domain/image-sizes';

const hex = (digit: string): string => digit.repeat(64);
const [INDEX, ONE, TWO, BASE, OWN, LOST] = ['1', '2', '3', 'a', 'b', 'f'].map(hex) as [string, string, string, string, string, string];

describe('sizes of images', () => {
  function sizes(): ImageSizes {
    const found = new ImageSizes();
    for (const [digest, size] of [[INDEX, 1], [ONE, 10], [TWO, 20], [BASE, 1000], [OWN, 500]] as const) found.addBlob(digest, size);
    found.addManifest(INDEX, [ONE, TWO]);
    found.addManifest(ONE, [BASE, LOST]);
    found.addManifest(TWO, [BASE, OWN]);
    return found;
  }

  it('count each blob of an index and its children once, and nothing for what is not in the backup', () => {
    assert.equal(sizes().bytesOf(INDEX), 1531);
    assert.equal(sizes().bytesOf(ONE), 1010);
    assert.equal(sizes().has(LOST), false);
  });

  it('are told apart into what only one repository needs and what others share', () => {
    const found = sizes();
    found.claim(0, [ONE]);
    found.claim(1, [TWO]);
    assert.deepEqual(found.measure([ONE]), { bytes: 1010, blobs: 2, exclusiveBytes: 10, sharedBytes: 1000 });
    assert.deepEqual(found.measure([TWO]), { bytes: 1520, blobs: 3, exclusiveBytes: 520, sharedBytes: 1000 });
  });

  it('end even where a forged index names itself', () => {
    const found = sizes();
    found.addManifest(OWN, [OWN, INDEX]);
    found.addManifest(INDEX, [OWN]);
    assert.equal(found.bytesOf(INDEX), 501);
  });
});
