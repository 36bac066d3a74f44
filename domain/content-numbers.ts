import { BlobNumbers } from './blob-numbers';
import { DigestNumbers } from './digest-numbers';

/** Numbers of digests and of paths. Lists about the same registry share them: so they speak of the same things, and hold the names in memory once. */
export class ContentNumbers {
  readonly digests = new DigestNumbers();
  readonly blobs = new BlobNumbers(this.digests);
}
