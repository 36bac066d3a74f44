/** A lab on which the steps of a backup are tried one by one, and the ways in which tests look at what they leave. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { readMetadataArchive } from '../../../adapters/archive/metadata';
import type { DecryptionKeys } from '../../../adapters/openpgp/keys';
import { resolveSecret } from '../../../adapters/secrets/secrets';
import { readArtifact } from '../../../adapters/vault/artifacts';
import { openDirectoryVault } from '../../../adapters/vault/directory';
import { readJsonLines } from '../../../adapters/vault/json-lines';
import type { Config } from '../../../domain/config';
import { manifestSchema, type Manifest } from '../../../domain/manifest';
import { loadConfig } from '../../../worker/config';
import { BackupRun } from '../../helpers/backup-run';
import { DtrLab } from '../../lab/dtr-lab';
import { writeImage } from '../../lab/image-folder';

export type SceneVersion = '2.5.3' | '2.9.4';

export interface Cron {
  action: string;
  schedule: string;
  nextRun?: string;
  id?: string;
}

export class BackupScene {
  dtr!: DtrLab;
  config!: Config;
  private images = 0;

  constructor(readonly version: SceneVersion) {}

  /** A lab with two repositories of one image each. */
  async start(): Promise<void> {
    this.dtr = await DtrLab.start(`test-backup-${this.version.replaceAll('.', '')}`, this.version, 1, 'local');
    this.config = await loadConfig(this.dtr.lab.state.file('drydock.yaml'));
    for (const name of ['app', 'other']) assert.equal((await this.dtr.api('POST', '/api/v0/repositories/acme', { name, visibility: 'private' })).status, 201);
    this.push('1');
    this.push('2', 'acme/other');
  }

  async stop(): Promise<void> {
    await (this.dtr as DtrLab | undefined)?.stop();
  }

  /** How this version lays blobs out. */
  get layout(): 'id' | 'sha256' {
    return this.version === '2.9.4' ? 'id' : 'sha256';
  }

  /** What this version calls the cron that collects garbage. */
  get gc(): string {
    return this.version === '2.9.4' ? 'onlinegc' : 'gc';
  }

  get cluster(): Config['clusters'][string] {
    return this.config.clusters.lab!;
  }

  get vault(): string {
    return this.config.vaults[this.cluster.vault]!.directory!;
  }

  newRun(): BackupRun {
    return new BackupRun(this.config);
  }

  backupFile(id: string, ...names: string[]): string {
    return path.join(this.vault, 'lab', 'backups', id, ...names);
  }

  manifestOf(id: string): Manifest {
    return manifestSchema.parse(JSON.parse(readFileSync(this.backupFile(id, 'manifest.json'), 'utf8')));
  }

  /** Names of the records of what operations have changed. */
  records(): string[] {
    const folder = path.join(this.vault, 'lab', 'operations');
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  async crons(): Promise<Cron[]> {
    const { body } = await this.dtr.api<{ crons: Cron[] } | Cron[]>('GET', '/api/v0/crons');
    return (Array.isArray(body) ? body : body.crons).map(({ nextRun: _next, id: _id, ...kept }) => kept).sort((a, b) => (a.action < b.action ? -1 : 1));
  }

  /** Pushes a new image; returns its digest. */
  push(tag: string, repository = 'acme/app'): string {
    const folder = `image-${(this.images += 1)}`;
    const digest = writeImage(this.dtr.file(folder));
    const pushed = this.dtr.push(folder, `${repository}:${tag}`);
    assert.equal(pushed.code, 0, pushed.stderr);
    return digest;
  }

  /** Layers of an image that was pushed, in hexadecimal. */
  layersOf(digest: string): string[] {
    for (let n = 1; n <= this.images; n += 1) {
      const manifest = readFileSync(this.dtr.file(`image-${n}/manifest.json`));
      const parsed = JSON.parse(manifest.toString()) as { layers: { digest: string }[] };
      if (`sha256:${sha256(manifest)}` === digest) return parsed.layers.map((layer) => layer.digest.slice(7));
    }
    throw new Error(`no image ${digest}`);
  }

  /** Path in the volume of a blob, found by its content: by id nothing else tells. */
  pathOf(root: string, hex: string): string {
    const found = this.dtr.on('node-1', `find ${root}/docker/registry/v2/blobs/${this.layout} -name data -exec sha256sum {} + | grep ^${hex} | cut -c67-`).stdout.trim();
    assert.notEqual(found, '');
    return found;
  }

  async list(id: string, name: 'tags' | 'blobs' | 'notes'): Promise<Record<string, unknown>[]> {
    const rows: Record<string, unknown>[] = [];
    for await (const row of readJsonLines(openDirectoryVault(this.vault), this.manifestOf(id).artifacts[name], await this.keys())) rows.push(row as Record<string, unknown>);
    return rows;
  }

  /** What the archive itself holds: layers by manifest, and links of blobs. */
  async tablesOf(id: string): Promise<{ manifests: Map<string, string[]>; links: Set<string> }> {
    const archive = await readArtifact(openDirectoryVault(this.vault), this.manifestOf(id).artifacts.metadata, await this.keys(), { gunzip: true });
    const manifests = new Map<string, string[]>();
    const links = new Set<string>();
    await readMetadataArchive(archive, (table, row) => {
      const { pk, layers } = row as { pk: string; layers: { digest: string }[] };
      if (table === 'manifests') manifests.set(pk, layers.map(({ digest }) => digest));
      if (table === 'blob_links') links.add(pk);
    });
    return { manifests, links };
  }

  private async keys(): Promise<DecryptionKeys> {
    return { passphrases: [await resolveSecret(this.cluster.encryption.passphrase!, 'passphrase')], privateKeys: [] };
  }
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
