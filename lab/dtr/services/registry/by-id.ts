import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { HttpError, readBody, Router, sendJson, serve, sha256, type Call } from '../../common/http';
import { serviceLog } from '../../common/log';
import type { BlobRow, RepositoryRow } from '../../common/rows';
import { PORTS, type Context } from '../context';
import { BlobStore } from './blob-store';
import { Catalog, isTag } from './catalog';
import { Guard } from './guard';
import { configOf, manifestRow, parseManifest, requiredBlobs, type ImageConfig } from './manifest';

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const VERSION_HEADER = { 'docker-distribution-api-version': 'registry/2.0' };

/** The registry of 2.6 and later: Distribution's API over blobs by id, with tags, manifests and links in the metadata. */
export function startRegistryById(context: Context): void {
  const registry = new RegistryById(context);
  const router = new Router();
  router.on('GET', '/internal/health', ({ response }) => Promise.resolve(sendJson(response, 200, { healthy: true })));
  router.on('GET', '/v2', (call) => registry.root(call));
  router.on('GET', '/v2/_catalog', (call) => registry.catalogPage(call));
  router.on('GET', '/v2/*name/tags/list', (call) => registry.tags(call));
  for (const method of ['GET', 'HEAD']) {
    router.on(method, '/v2/*name/manifests/:reference', (call) => registry.getManifest(call));
    router.on(method, '/v2/*name/blobs/:digest', (call) => registry.getBlob(call));
  }
  router.on('PUT', '/v2/*name/manifests/:reference', (call) => registry.putManifest(call));
  router.on('DELETE', '/v2/*name/manifests/:reference', (call) => registry.deleteManifest(call));
  router.on('DELETE', '/v2/*name/blobs/:digest', (call) => registry.deleteBlob(call));
  router.on('POST', '/v2/*name/blobs/uploads', (call) => registry.startUpload(call));
  router.on('GET', '/v2/*name/blobs/uploads/:upload', (call) => registry.uploadStatus(call));
  router.on('PATCH', '/v2/*name/blobs/uploads/:upload', (call) => registry.patchUpload(call));
  router.on('PUT', '/v2/*name/blobs/uploads/:upload', (call) => registry.finishUpload(call));
  router.on('DELETE', '/v2/*name/blobs/uploads/:upload', (call) => registry.cancelUpload(call));
  serve(PORTS.registry, router);
}

class RegistryById {
  private readonly guard: Guard;
  private readonly blobs: BlobStore;
  private readonly catalog: Catalog;

  constructor(private readonly context: Context) {
    this.guard = new Guard(context);
    this.blobs = new BlobStore(context.store);
    this.catalog = new Catalog(context.store);
  }

  async root({ request, response }: Call): Promise<void> {
    await this.guard.require(request, null, 'pull');
    sendJson(response, 200, {}, VERSION_HEADER);
  }

  async catalogPage({ request, response, url }: Call): Promise<void> {
    await this.guard.require(request, null, '*');
    const names: string[] = [];
    for await (const row of this.context.store.rows<RepositoryRow>('repositories')) names.push(`${row.namespace}/${row.name}`);
    sendPage(response, url, '/v2/_catalog', names, (page) => ({ repositories: page }));
  }

  async tags({ request, response, url, params }: Call): Promise<void> {
    const name = params.name!;
    await this.guard.require(request, name, 'pull');
    await this.guard.repository(name);
    const tags = (await this.catalog.tags(name)).map((tag) => tag.name);
    sendPage(response, url, `/v2/${name}/tags/list`, tags, (page) => ({ name, tags: page }));
  }

  async getManifest({ request, response, params }: Call): Promise<void> {
    const { name, reference } = params as { name: string; reference: string };
    await this.guard.require(request, name, 'pull');
    await this.guard.repository(name);
    const digest = isTag(reference) ? (await this.catalog.tag(name, reference))?.digest : reference;
    const row = digest === undefined ? null : await this.catalog.manifest(name, digest);
    if (!row) throw new HttpError(404, 'MANIFEST_UNKNOWN', 'manifest unknown', {}, { name, reference });
    const blob = await this.blobs.byDigest(row.digest);
    if (!blob) throw new HttpError(404, 'MANIFEST_UNKNOWN', 'manifest unknown: its content is missing', {}, { name, reference });
    await this.sendBlob(response, blob, row.mediaType, request.method === 'HEAD', undefined);
    if (request.method === 'GET' && isTag(reference)) await this.catalog.pulled(name);
  }

  async putManifest({ request, response, params }: Call): Promise<void> {
    const { name, reference } = params as { name: string; reference: string };
    const claims = await this.guard.require(request, name, 'push');
    const repository = await this.guard.repository(name);
    await this.guard.requireWritable();
    const body = await readBody(request);
    const digest = `sha256:${sha256(body)}`;
    if (!isTag(reference) && reference !== digest) throw new HttpError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
    const { manifest, mediaType } = parseManifest(body, request.headers['content-type']);
    const tag = isTag(reference) ? reference : null;
    if (tag !== null && repository.immutableTags && (await this.catalog.tag(name, tag))) throw new HttpError(400, 'DENIED', `the tag ${tag} is immutable`);
    const row = manifestRow(name, digest, manifest, mediaType, claims.sub, await this.configOf(name, configOf(manifest)));
    await this.requireParts(name, requiredBlobs(row), row.manifests ?? []);
    await this.blobs.putBytes(name, digest, body, mediaType);
    await this.catalog.pushed(row, tag, claims.sub);
    response.writeHead(201, { ...VERSION_HEADER, location: `/v2/${name}/manifests/${digest}`, 'docker-content-digest': digest, 'content-length': '0' });
    response.end();
  }

  private async requireParts(name: string, blobs: string[], children: string[]): Promise<void> {
    for (const digest of blobs) {
      if (!(await this.blobs.find(name, digest))) throw new HttpError(400, 'MANIFEST_BLOB_UNKNOWN', 'blob unknown to registry', {}, { digest });
    }
    for (const digest of children) {
      if (!(await this.catalog.manifest(name, digest))) throw new HttpError(400, 'MANIFEST_BLOB_UNKNOWN', 'manifest of the index unknown to registry', {}, { digest });
    }
  }

  private async configOf(name: string, digest: string | undefined): Promise<ImageConfig> {
    const row = digest ? await this.blobs.find(name, digest) : null;
    if (!row || row.size > 1 << 20) return {};
    const chunks: Buffer[] = [];
    for await (const chunk of await this.blobs.open(row)) chunks.push(chunk as Buffer);
    try {
      return JSON.parse(Buffer.concat(chunks).toString()) as ImageConfig;
    } catch {
      // Artifacts other than images have configurations of any kind.
      return {};
    }
  }

  async deleteManifest({ request, response, params }: Call): Promise<void> {
    const { name, reference } = params as { name: string; reference: string };
    await this.guard.require(request, name, 'push');
    await this.guard.requireWritable();
    const gone = isTag(reference) ? await this.catalog.deleteTag(name, reference) : await this.catalog.deleteManifest(name, reference);
    if (!gone) throw new HttpError(404, 'MANIFEST_UNKNOWN', 'manifest unknown', {}, { name, reference });
    response.writeHead(202, { ...VERSION_HEADER, 'content-length': '0' });
    response.end();
  }

  async getBlob({ request, response, params }: Call): Promise<void> {
    const { name, digest } = params as { name: string; digest: string };
    await this.guard.require(request, name, 'pull');
    const row = DIGEST.test(digest) ? await this.blobs.find(name, digest) : null;
    if (!row) throw new HttpError(404, 'BLOB_UNKNOWN', 'blob unknown to registry', {}, digest);
    await this.sendBlob(response, row, 'application/octet-stream', request.method === 'HEAD', request.headers.range);
  }

  async deleteBlob({ request, response, params }: Call): Promise<void> {
    const { name, digest } = params as { name: string; digest: string };
    await this.guard.require(request, name, 'push');
    await this.guard.requireWritable();
    if (!(await this.blobs.find(name, digest))) throw new HttpError(404, 'BLOB_UNKNOWN', 'blob unknown to registry', {}, digest);
    await this.context.store.delete('blob_links', `${name}@${digest}`);
    response.writeHead(202, { ...VERSION_HEADER, 'content-length': '0' });
    response.end();
  }

  async startUpload({ request, response, url, params }: Call): Promise<void> {
    const name = params.name!;
    await this.guard.require(request, name, 'push');
    await this.guard.repository(name);
    await this.guard.requireWritable();
    const mount = url.searchParams.get('mount');
    const from = url.searchParams.get('from');
    if (mount && from && (await this.mount(request.headers.authorization, name, mount, from))) {
      return this.created(response, name, mount);
    }
    const upload = await this.blobs.start(name);
    const digest = url.searchParams.get('digest');
    if (digest === null) return this.uploadAnswer(response, 202, name, upload.id, 0);
    await this.blobs.append(upload, request);
    await this.blobs.commit(upload, digest);
    return this.created(response, name, digest);
  }

  /** Another repository's blob is taken over when the caller may pull there. */
  private async mount(authorization: string | undefined, name: string, digest: string, from: string): Promise<boolean> {
    const request = { headers: { authorization } } as Parameters<Guard['require']>[0];
    const allowed = await this.guard.require(request, from, 'pull').then(
      () => true,
      () => false,
    );
    if (!allowed || !(await this.blobs.find(from, digest))) return false;
    await this.blobs.link(name, digest);
    return true;
  }

  async uploadStatus({ request, response, params }: Call): Promise<void> {
    const { name, upload: id } = params as { name: string; upload: string };
    await this.guard.require(request, name, 'push');
    this.uploadAnswer(response, 204, name, id, (await this.blobs.upload(name, id)).size);
  }

  async patchUpload({ request, response, params }: Call): Promise<void> {
    const { name, upload: id } = params as { name: string; upload: string };
    await this.guard.require(request, name, 'push');
    await this.guard.requireWritable();
    const upload = await this.blobs.upload(name, id);
    const range = /^(\d+)-\d+$/.exec(request.headers['content-range'] ?? '');
    if (range && Number(range[1]) !== upload.size) throw new HttpError(416, 'RANGE_INVALID', `the upload stands at ${upload.size}`);
    await this.blobs.append(upload, request);
    this.uploadAnswer(response, 202, name, id, upload.size);
  }

  async finishUpload({ request, response, url, params }: Call): Promise<void> {
    const { name, upload: id } = params as { name: string; upload: string };
    await this.guard.require(request, name, 'push');
    await this.guard.requireWritable();
    const upload = await this.blobs.upload(name, id);
    const digest = url.searchParams.get('digest') ?? '';
    if (!DIGEST.test(digest)) throw new HttpError(400, 'DIGEST_INVALID', 'a sha256 digest is needed');
    await this.blobs.append(upload, request);
    await this.blobs.commit(upload, digest);
    this.created(response, name, digest);
  }

  async cancelUpload({ request, response, params }: Call): Promise<void> {
    const { name, upload: id } = params as { name: string; upload: string };
    await this.guard.require(request, name, 'push');
    await this.blobs.cancel(await this.blobs.upload(name, id));
    response.writeHead(204);
    response.end();
  }

  private created(response: ServerResponse, name: string, digest: string): void {
    response.writeHead(201, { ...VERSION_HEADER, location: `/v2/${name}/blobs/${digest}`, 'docker-content-digest': digest, 'content-length': '0' });
    response.end();
  }

  private uploadAnswer(response: ServerResponse, status: number, name: string, id: string, size: number): void {
    response.writeHead(status, { ...VERSION_HEADER, location: `/v2/${name}/blobs/uploads/${id}`, 'docker-upload-uuid': id, range: `0-${Math.max(size - 1, 0)}`, 'content-length': '0' });
    response.end();
  }

  private async sendBlob(response: ServerResponse, row: BlobRow, mediaType: string, headOnly: boolean, range: string | undefined): Promise<void> {
    const wanted = parseRange(range, row.size);
    const data = await this.blobs.open(row, wanted ?? undefined);
    const length = wanted ? wanted.end - wanted.start + 1 : row.size;
    response.writeHead(wanted ? 206 : 200, {
      ...VERSION_HEADER,
      'content-type': mediaType,
      'content-length': String(length),
      'docker-content-digest': row.sha256sum,
      'accept-ranges': 'bytes',
      etag: `"${row.sha256sum}"`,
      ...(wanted ? { 'content-range': `bytes ${wanted.start}-${wanted.end}/${row.size}` } : {}),
    });
    if (headOnly) {
      data.destroy();
      response.end();
      return;
    }
    // A client that goes away in the middle is nobody's error.
    await pipeline(data, response).catch((error: unknown) => serviceLog(`a download of ${row.sha256sum} broke off: ${String(error)}`));
  }
}

function parseRange(header: string | undefined, size: number): { start: number; end: number } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  const start = match[1] === '' ? Math.max(size - Number(match[2]), 0) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (start > end) throw new HttpError(416, 'RANGE_INVALID', 'the range is outside of the blob', { 'content-range': `bytes */${size}` });
  return { start, end };
}

/** Lists with `n` and `last`, and a Link to the next page. */
export function sendPage(response: ServerResponse, url: URL, path: string, all: string[], body: (page: string[]) => object): void {
  const last = url.searchParams.get('last') ?? '';
  const count = Number(url.searchParams.get('n') ?? 0);
  const sorted = [...all].sort().filter((name) => name > last);
  const page = count > 0 ? sorted.slice(0, count) : sorted;
  const more = page.length < sorted.length;
  sendJson(response, 200, body(page), { ...VERSION_HEADER, ...(more ? { link: `<${path}?n=${count}&last=${encodeURIComponent(page[page.length - 1]!)}>; rel="next"` } : {}) });
}
