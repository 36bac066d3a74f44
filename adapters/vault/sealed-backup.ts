/** A sealed backup as a reader of the vault sees it: its manifest, checked, and its lists, row by row. */
import type { z } from 'zod';
import { DrydockError } from '../../domain/errors';
import { blobLineSchema, tagLineSchema, type ArtifactRef, type BlobLine, type Manifest, type TagLine } from '../../domain/manifest';
import { parseNote, type Note } from '../../domain/notes';
import { parseBlobPath } from '../../domain/layout';
import type { DecryptionKeys } from '../openpgp/keys';
import { readJsonLines } from './json-lines';
import { readManifest } from './manifest-file';
import { segmentsOf } from './segment-list';
import { recordedSegments, type RecordedSegment } from './segment-places';
import type { Vault } from './vault';

export class SealedBackup {
  private constructor(
    readonly vault: Vault,
    readonly manifest: Manifest,
    readonly keys: DecryptionKeys,
    private readonly signal: AbortSignal | undefined,
  ) {}

  private segments: Promise<ReadonlyMap<string, RecordedSegment>> | undefined;

  /** Throws NotFound, or IntegrityMismatch when its manifest is damaged, foreign, or of another backup. */
  static async open(vault: Vault, cluster: string, id: string, keys: DecryptionKeys, signal?: AbortSignal): Promise<SealedBackup> {
    const { manifest } = await readManifest(vault, cluster, id);
    return new SealedBackup(vault, manifest, keys, signal);
  }

  get cluster(): string {
    return this.manifest.cluster;
  }

  tags(): AsyncGenerator<TagLine> {
    return this.rows(this.manifest.artifacts.tags, tagLineSchema);
  }

  /** What has to lie in the registry volume, and where it is stored. Paths are those of blobs, so none leads out of a volume. */
  async *blobs(): AsyncGenerator<BlobLine> {
    for await (const line of this.rows(this.manifest.artifacts.blobs, blobLineSchema)) {
      if (parseBlobPath(line.path) === null) throw damaged(this.manifest.artifacts.blobs.name);
      yield line;
    }
  }

  /** Kinds that a later version adds are passed by. */
  async *notes(): AsyncGenerator<Note> {
    const record = this.manifest.artifacts.notes;
    for await (const row of readJsonLines(this.vault, record, this.keys, this.reading)) {
      const note = parseNote(row);
      if (note === undefined) throw damaged(record.name);
      if (note !== null) yield note;
    }
  }

  /** What was sealed about the segments, by id; read once. Throws as `segmentsOf` does. */
  recorded(): Promise<ReadonlyMap<string, RecordedSegment>> {
    this.segments ??= segmentsOf(this.vault, this.manifest, this.signal).then(recordedSegments);
    return this.segments;
  }

  private get reading(): { signal?: AbortSignal } {
    return this.signal === undefined ? {} : { signal: this.signal };
  }

  private async *rows<T>(record: ArtifactRef, schema: z.ZodType<T>): AsyncGenerator<T> {
    for await (const row of readJsonLines(this.vault, record, this.keys, this.reading)) {
      const parsed = schema.safeParse(row);
      if (!parsed.success) throw damaged(record.name);
      yield parsed.data;
    }
  }
}

function damaged(name: string): DrydockError {
  return new DrydockError('IntegrityMismatch', `the list ${name} has a line of an unknown form`, { remedy: 'use another backup' });
}
