import { spawn, type ChildProcess } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fetchUrl, HttpError, readBody, Router, sendJson, serve, sha256, sleep, type Call } from '../../common/http';
import { messageOf, serviceLog } from '../../common/log';
import { PORTS, STORAGE_ROOT, type Context } from '../context';
import { ISSUER } from '../token';
import { Catalog, isTag } from './catalog';
import { Guard } from './guard';
import { configOf, manifestRow, parseManifest, type ImageConfig } from './manifest';

const INNER_PORT = 5001;
const CONFIG = '/tmp/registry.yml';
const TRUST = '/tmp/garant.pem';
const REPOSITORIES = path.join(STORAGE_ROOT, 'docker/registry/v2/repositories');

/** The registry of 2.5: CNCF Distribution on loopback, and in front of it what DTR adds: existing repositories only, read-only mode, rows of tags and manifests. */
export async function startRegistryByDigest(context: Context): Promise<void> {
  const registry = new RegistryByDigest(context);
  const router = new Router();
  router.on('GET', '/internal/health', (call) => registry.health(call));
  router.on('DELETE', '/internal/tags/*name/:tag', (call) => registry.unlinkTag(call));
  router.on('PUT', '/v2/*name/manifests/:reference', (call) => registry.putManifest(call));
  router.on('DELETE', '/v2/*name/manifests/:reference', (call) => registry.deleteManifest(call));
  serve(PORTS.registry, router, (call) => registry.pass(call));
  await registry.supervise();
}

class RegistryByDigest {
  private readonly guard: Guard;
  private readonly catalog: Catalog;
  private readonly agent = new http.Agent({ keepAlive: true });

  constructor(private readonly context: Context) {
    this.guard = new Guard(context);
    this.catalog = new Catalog(context.store);
  }

  /** Starts Distribution, and again whenever what it has to know of the cluster changes. */
  async supervise(): Promise<never> {
    let child: ChildProcess | null = null;
    let current = '';
    for (;;) {
      try {
        const { config, trust } = await this.configuration();
        if (config + trust !== current || child === null || child.exitCode !== null || child.signalCode !== null) {
          child?.kill('SIGKILL');
          await Promise.all([writeFile(CONFIG, config), writeFile(TRUST, trust)]);
          child = spawn('docker-registry', ['serve', CONFIG], { stdio: ['ignore', 'inherit', 'inherit'] });
          current = config + trust;
        }
      } catch (error) {
        serviceLog(`the registry cannot be configured: ${messageOf(error)}`);
      }
      await sleep(current === '' ? 300 : 3000);
    }
  }

  private async configuration(): Promise<{ config: string; trust: string }> {
    const { store } = this.context;
    const [trust, secret] = await Promise.all([store.property<string>('garantRootCert'), store.property<string>('internalToken')]);
    if (!trust || !secret) throw new Error('the cluster is not set up yet');
    const host = (await store.property<string>('dtrHost')) ?? '';
    // JSON is YAML. No descriptor cache: collections run in another process.
    const config = {
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: STORAGE_ROOT }, delete: { enabled: true }, maintenance: { uploadpurging: { enabled: false } } },
      http: { addr: `127.0.0.1:${INNER_PORT}`, secret, relativeurls: true },
      auth: { token: { realm: `https://${host === '' ? 'localhost' : host}/auth/token`, service: await this.guard.service(), issuer: ISSUER, rootcertbundle: TRUST } },
    };
    return { config: JSON.stringify(config), trust };
  }

  async health({ response }: Call): Promise<void> {
    // 401 is how a healthy registry answers to nobody.
    const { status } = await fetchUrl(`http://127.0.0.1:${INNER_PORT}/v2/`, { timeoutMs: 2000 });
    sendJson(response, status === 401 || status === 200 ? 200 : 503, { healthy: status === 401 });
  }

  /** Everything but manifests goes through as it is. */
  async pass(call: Call): Promise<void> {
    const { request, url } = call;
    if (!url.pathname.startsWith('/v2')) throw new HttpError(404, 'NOT_FOUND', 'there is nothing here');
    const name = /^\/v2\/(.+)\/(?:blobs|manifests|tags)\//.exec(url.pathname)?.[1];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      if (name !== undefined) await this.guard.repository(name);
      await this.guard.requireWritable();
    }
    await this.proxy(call);
  }

  async putManifest(call: Call): Promise<void> {
    const { request, params } = call;
    const { name, reference } = params as { name: string; reference: string };
    const claims = await this.guard.require(request, name, 'push');
    const repository = await this.guard.repository(name);
    await this.guard.requireWritable();
    if (isTag(reference) && repository.immutableTags && (await this.catalog.tag(name, reference))) throw new HttpError(400, 'DENIED', `the tag ${reference} is immutable`);
    const body = await readBody(request);
    // The rows are there before the client hears that its push is done.
    await this.proxy(call, body, async (status) => {
      if (status !== 201) return;
      const digest = `sha256:${sha256(body)}`;
      const { manifest, mediaType } = parseManifest(body, request.headers['content-type']);
      const row = manifestRow(name, digest, manifest, mediaType, claims.sub, await this.configOf(call, name, configOf(manifest)));
      await this.catalog.pushed(row, isTag(reference) ? reference : null, claims.sub);
    });
  }

  async deleteManifest(call: Call): Promise<void> {
    const { request, params } = call;
    const { name, reference } = params as { name: string; reference: string };
    await this.guard.require(request, name, 'push');
    await this.guard.requireWritable();
    await this.proxy(call, undefined, async (status) => {
      if (status === 202) await this.catalog.deleteManifest(name, reference);
    });
  }

  /** Distribution of that time cannot delete a tag: DTR takes the link away itself. */
  async unlinkTag({ response, params }: Call): Promise<void> {
    await rm(path.join(REPOSITORIES, params.name!, '_manifests/tags', params.tag!), { recursive: true, force: true });
    response.writeHead(204);
    response.end();
  }

  private async configOf(call: Call, name: string, digest: string | undefined): Promise<ImageConfig> {
    if (!digest) return {};
    const answer = await fetchUrl(`http://127.0.0.1:${INNER_PORT}/v2/${name}/blobs/${digest}`, { headers: { authorization: call.request.headers.authorization ?? '' } });
    try {
      return answer.status === 200 ? (JSON.parse(answer.body.toString()) as ImageConfig) : {};
    } catch {
      // Artifacts other than images have configurations of any kind.
      return {};
    }
  }

  /** Sends the request on to Distribution and its answer back; `before` runs between the two. */
  private proxy({ request, response }: Call, body?: Buffer, before: (status: number) => Promise<void> = () => Promise.resolve()): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { ...request.headers, ...(body ? { 'content-length': String(body.length) } : {}) };
      const inner = http.request({ host: '127.0.0.1', port: INNER_PORT, method: request.method, path: request.url, headers, agent: this.agent }, (answer) => {
        const status = answer.statusCode ?? 502;
        const pass = (): void => {
          response.writeHead(status, answer.headers);
          answer.pipe(response);
          answer.on('error', () => response.destroy());
          answer.on('end', resolve);
        };
        before(status).then(pass).catch(reject);
      });
      inner.on('error', (error) => reject(new HttpError(502, 'UNAVAILABLE', `the registry does not answer: ${error.message}`)));
      response.on('close', () => inner.destroy());
      if (body) inner.end(body);
      else request.pipe(inner);
    });
  }
}
