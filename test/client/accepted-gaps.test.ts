import assert from 'node:assert/strict';
import { backupReport } from '../../client/reports';
import type { BackupResult } from '../../domain/contract';

describe('the report of a backup', () => {
  it('names what people have accepted to be missing: the first of it, and how much there is', () => {
    const gap = (at: number) => ({ image: `acme/old:${at}`, digests: ['sha256:00'], by: 'Ann', why: 'lost in 2019', until: '2027-06-30' });
    const result: BackupResult = {
      backupId: 'b', cluster: 'c', status: 'complete', vault: 'v', manifestSha256: 'ab', startedAt: '', sealedAt: '',
      counts: { repositories: 1, tags: 2, manifests: 2, blobs: 4, newBlobs: 4, rows: 9, inFlight: 0, gaps: 0, acceptedGaps: 22 }, bytes: { images: 1, moved: 1, stored: 1, metadata: 1 },
      gaps: [], acceptedGaps: Array.from({ length: 22 }, (_, at) => gap(at)), verified: null, warnings: [], stages: [],
    };
    const lines = backupReport(result);
    const start = lines.indexOf('  not in this backup either, as people have accepted:');
    assert.equal(lines[start + 1], '    acme/old:0 lacks sha256:00: accepted by Ann until 2027-06-30 (lost in 2019)');
    assert.equal(lines[start + 21], '    and 2 more');
    assert.ok(backupReport({ ...result, acceptedGaps: undefined }).every((line) => !line.includes('accepted')));
  });
});
