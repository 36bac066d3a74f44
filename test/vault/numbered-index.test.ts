import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { CopyList } from '../../domain/copy-list';
import { idBlobPath, sha256BlobPath } from '../../domain/layout';
import { IndexLine } from '../../domain/index-line';
import { FORMAT_VERSION, type StoredBlob } from '../../domain/vault-format';
import { NONE } from '../../domain/column';
import { NumberedIndex } from '../../adapters/vault/numbered-index';
import { parseIndexLine } from '../../adapters/vault/segment-index';
import { isError, scratchVault } from '../helpers/vault';

const hex = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What the reader of octets sees in a line; null when it leaves it to others. */
function readOctets(line: string): StoredBlob | null {
  const copies = new CopyList();
  const reader = new IndexLine(copies.numbers, copies.refs);
  // As in a block: other lines stand around it.
  const block = Buffer.from(`{"path":"x"}\n${line}\n{"path":"y"}`);
  const start = block.indexOf('\n') + 1;
  if (!reader.read(block, start, start + Buffer.byteLength(line))) return null;
  const { blob, digest, size, refsAt } = reader;
  if (refsAt !== NONE) copies.refs.assign(digest, refsAt);
  const refs = copies.refs.get(digest);
  return { path: copies.numbers.blobs.path(blob), size, sha256: copies.numbers.digests.digest(digest), offset: 0, ...(refs ? { refs } : {}) };
}

function parse(line: string): StoredBlob | null {
  try {
    return { ...parseIndexLine(line, 'index'), offset: 0 };
  } catch {
    return null;
  }
}

const LINES: StoredBlob[] = [
  { path: sha256BlobPath(hex('a')), size: 0, sha256: hex('a'), offset: 512 },
  { path: sha256BlobPath(hex('b')), size: 999_999_999_999_999, sha256: hex('torn'), offset: 0 },
  { path: idBlobPath('8bb0bdb4-61be-4fb1-a4e0-1fe0ef0d5c3b'), size: 7, sha256: hex('c'), offset: 10_240 },
  { path: idBlobPath('ab'), size: 7, sha256: hex('c'), offset: 10_240, refs: { mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [hex('m1'), hex('m2')], sizes: [10, 20], subject: hex('s') } },
  { path: idBlobPath('cd'), size: 7, sha256: hex('d'), offset: 1, refs: { mediaType: '', config: hex('config'), layers: [], foreign: [hex('f')] } },
];

describe('an index as numbers', () => {
  it('says what its text says, for all forms in which it is written', () => {
    for (const blob of LINES) assert.deepEqual(readOctets(JSON.stringify(blob)), { ...blob, offset: 0 });
  });

  it('leaves to the parser of texts what is written in another way', () => {
    const [line] = LINES.map((blob) => JSON.stringify(blob)) as [string];
    const others = [
      '', '{}', line.replace('{', '{ '), `${line} `, line.replace('"size":0', '"size":00'), line.replace('"size":0', '"size":-0'), line.replace('"size":0', '"size":1e3'),
      line.replace('"size":0', '"size":9999999999999999'), line.replace('}', ',"void":true}'), line.replace('}', ',"refs":{"mediaType":"a","mediaType":"b"}}'),
      line.replace('}', `,"refs":{"mediaType":"a","config":"${hex('1')}","config":"${hex('2')}"}}`), line.replace('}', ',"refs":{"mediaType":"\\u0061"}}'),
      line.replace('/data', '/../data'), line.toUpperCase(), line.slice(0, -1), line.slice(0, 60),
    ];
    for (const other of others) assert.equal(readOctets(other), null, other);
  });

  it('keeps no memory for references of lines and indexes that do not count', async () => {
    const refs = { mediaType: 'a', manifests: [hex('m1'), hex('m2')], sizes: [1, 2] };
    const line = JSON.stringify({ ...LINES[0], refs });
    const copies = new CopyList();
    const reader = new IndexLine(copies.numbers, copies.refs);
    const empty = copies.refs.mark();
    for (const other of [`${line.slice(0, -1)},"void":true}`, `${line} `, line.replace('[1,2]', '[1,2,3,4]')]) {
      assert.equal(reader.read(Buffer.from(other), 0, other.length), false, other);
      assert.deepEqual(copies.refs.mark(), empty);
    }
    assert.throws(() => parseIndexLine(line.replace('[1,2]', '[1,2,3,4]'), 'index'), isError('IntegrityMismatch', /references/));
    const index = (body: string): string => `${JSON.stringify({ format: FORMAT_VERSION, segment: 's', writtenBy: 'x', bytes: 1, sha256: hex('s'), recipients: [], blobs: 2, plainBytes: 1 })}\n${body}`;
    const scratch = await scratchVault();
    try {
      await scratch.vault.put('lab/segments/s.index', index(`${line}\n{"path":1}\n`));
      await assert.rejects(NumberedIndex.read(scratch.vault, 'lab', 's', copies), isError('IntegrityMismatch', /line 3 does not describe a blob/));
      assert.deepEqual(copies.refs.mark(), empty);
    } finally {
      await scratch.remove();
    }
  });

  it('never sees anything else in a line than the parser of texts, wherever an octet is exchanged, added or taken away', () => {
    let taken = 0;
    for (const line of LINES.map((blob) => JSON.stringify(blob))) {
      for (let at = 0; at < line.length; at += 1) {
        for (const letter of ['', 'a', 'F', '0', '9', '"', ',', '/', '.', '\\', '}', ']', '-', ' ', 'é']) {
          for (const end of [at, at + 1]) {
            const hurt = line.slice(0, at) + letter + line.slice(end);
            const seen = readOctets(hurt);
            if (!seen) continue;
            taken += 1;
            assert.deepEqual(seen, parse(hurt), hurt);
          }
        }
      }
    }
    assert.ok(taken > 1000, `${taken} lines were read`);
  });
});
