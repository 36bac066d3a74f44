import { setTimeout as sleep } from 'node:timers/promises';
import { hashFiles } from '../../adapters/images/hash';
import type { CopyList } from '../../domain/copy-list';
import type { References } from '../../domain/references';
import type { Storage } from '../../domain/manifest';
import { report } from '../pulse';
import { copyInto, type Copying } from './copy-images';

/** A client of a shared file system may show a folder as it was half a minute ago. */
const SHARED_STORAGE_MS = 60_000;
/** A local disk shows what is there; a second look only covers a file that was just being moved. */
const LOCAL_STORAGE_MS = 5_000;
const LOOK_EVERY_MS = 5_000;

/**
 * Looks for content that the metadata names and that is not stored, by its exact path: reading a name asks the server of a shared file
 * system again, where a listing may be a cached one. What turns up is copied; what does not is for the proof to name.
 */
export async function lookForMissing(copying: Copying, references: References, storage: Storage['kind']): Promise<void> {
  const { host, root, signal } = copying;
  const end = Date.now() + (storage === 'local' ? LOCAL_STORAGE_MS : SHARED_STORAGE_MS);
  for (;;) {
    const missing = missingPaths(references, copying.stored.copies);
    if (missing.size === 0) return;
    report({ phase: 'looking for missing blobs', bytesDone: 0, itemsDone: 0, itemsTotal: missing.size });
    const found: string[] = [];
    for await (const { path, sha256 } of hashFiles(host, root, missing.keys(), { signal })) if (missing.get(path) === sha256) found.push(path);
    if (found.length > 0) {
      // Their size is what tar says when it reads them; the digest proves them.
      await copyInto(copying, found.map((path) => ({ path, size: 0, sha256: missing.get(path)! })), 'copying late images');
    }
    const isOver = Date.now() + LOOK_EVERY_MS > end;
    if (isOver || found.length === missing.size) return;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** Where the content that is not stored may lie, with its digest. */
function missingPaths(references: References, copies: CopyList): Map<string, string> {
  const { blobs, digests } = references.numbers;
  const paths = new Map<string, string>();
  for (const digest of references.named()) {
    // What another algorithm names is found through the link tree, which comes later.
    if (digests.isOther(digest) || references.isStored(digest, copies)) continue;
    for (const blob of references.blobsOf(digest)) paths.set(blobs.path(blob), digests.digest(digest));
  }
  return paths;
}
