import { DrydockError } from '../../domain/errors';
import { HttpClient, type HttpAnswer, type HttpCall, type TlsOptions } from '../http/http';
import { parseChallenge, RegistryAuth } from './auth';
import { digestOf, hashFor, isDigest, schema1Payload } from './digest';
import type { Registry } from './registry';
import { REGISTRY } from './service';

export type RegistryOptions = { url: string; username: string; password: string; signal?: AbortSignal } & Pick<TlsOptions, 'ca' | 'caFile' | 'insecure'>;

const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json', 'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws', 'application/vnd.docker.distribution.manifest.v1+json',
].join(', ');
const MAX_MANIFEST = 32 * 1024 * 1024;
const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

/** A registry's own API (distribution v2), for proving that what a tag or digest names can be pulled whole. */
export function connectRegistry(options: RegistryOptions): Registry {
  return new RegistryClient(options);
}

class RegistryClient implements Registry {
  private readonly http: HttpClient;
  private readonly auth: RegistryAuth;

  constructor(private readonly options: RegistryOptions) {
    const tls = { ca: options.ca, caFile: options.caFile, insecure: options.insecure };
    this.http = new HttpClient(options.url, REGISTRY, tls);
    this.auth = new RegistryAuth(tls, options.username, options.password);
  }

  async manifest(repository: string, reference: string): Promise<{ digest: string; mediaType: string; body: Buffer }> {
    const call: HttpCall = { path: `v2/${repository}/manifests/${reference}`, headers: { accept: MANIFEST_TYPES } };
    const answer = await this.fetch(call, repository);
    const body = await this.read(answer, call);
    const mediaType = headerOf(answer, 'content-type')?.split(';')[0]?.trim() ?? '';
    const announced = headerOf(answer, 'docker-content-digest');
    const expected = isDigest(reference) ? reference : announced;
    const digest = manifestDigest(body, expected);
    if (expected !== undefined && digest !== expected) {
      throw new DrydockError('IntegrityMismatch', `the registry's manifest of ${repository} ${reference} has the digest ${digest}, not ${expected}`, { remedy: 'the stored manifest is damaged: restore it, or push the image again' });
    }
    return { digest, mediaType, body };
  }

  async checkBlob(repository: string, digest: string): Promise<number> {
    const hash = hashFor(digest);
    const call: HttpCall = { path: `v2/${repository}/blobs/${digest}`, headers: { accept: '*/*' } };
    const answer = await this.fetch(call, repository);
    let size = 0;
    try {
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        hash.update(chunk);
        size += chunk.length;
      }
    } catch (error) {
      throw this.http.bodyError(error, call);
    }
    const real = `${digest.split(':')[0]}:${hash.digest('hex')}`;
    if (real !== digest) {
      throw new DrydockError('IntegrityMismatch', `the registry's blob ${digest} of ${repository} has the digest ${real} (${size} bytes)`, { remedy: 'the stored blob is damaged: restore it, or push the image again' });
    }
    return size;
  }

  close(): Promise<void> {
    return this.http.close();
  }

  /** A GET with the login that the registry asks for, following redirects to where blobs are stored. */
  private async fetch(call: HttpCall, repository: string): Promise<HttpAnswer> {
    const scope = `repository:${repository}:pull`;
    const kept = this.auth.kept(scope);
    const answer = await this.get(call, kept);
    if (answer.status !== 401) return this.checked(answer, call);
    const challenge = parseChallenge(answer.headers['www-authenticate']);
    answer.body.resume();
    if (challenge === null) throw new DrydockError('AuthRejected', 'the registry refuses the call and asks for no login that we know', { remedy: REGISTRY.authRemedy });
    return this.checked(await this.get(call, await this.auth.answer(challenge, scope)), call);
  }

  private async get(call: HttpCall, authorization: string | undefined): Promise<HttpAnswer> {
    const headers = { ...call.headers, ...(authorization === undefined ? {} : { authorization }) };
    let answer = await this.http.call({ ...call, headers, ok: [200, 401, ...REDIRECTS], signal: this.options.signal });
    let url = new URL(`${this.http.baseUrl}/${call.path}`);
    for (let n = 0; REDIRECTS.includes(answer.status); n++) {
      if (n === MAX_REDIRECTS) throw new DrydockError('RegistryUnavailable', 'the registry redirects in a circle');
      answer.body.resume();
      const next = new URL(headerOf(answer, 'location') ?? '', url);
      // Another host, such as an object store, must not get our login: its address is signed.
      const sameHost = next.host === new URL(this.http.baseUrl).host;
      answer = await this.http.call({ path: next.href, headers: sameHost ? headers : call.headers, ok: [200, 401, ...REDIRECTS], signal: this.options.signal });
      url = next;
    }
    return answer;
  }

  /** A second 401, with a fresh token, means that the account may not pull. */
  private checked(answer: HttpAnswer, call: HttpCall): HttpAnswer {
    if (answer.status === 200) return answer;
    answer.body.resume();
    throw new DrydockError('NotPermitted', `the registry does not let the account pull /${call.path}`, { remedy: REGISTRY.authRemedy });
  }

  private async read(answer: HttpAnswer, call: HttpCall): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MAX_MANIFEST) throw new DrydockError('IntegrityMismatch', `the manifest at /${call.path} is larger than ${MAX_MANIFEST} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw this.http.bodyError(error, call);
    }
    return Buffer.concat(chunks);
  }
}

/** Signed schema 1 manifests have the digest of what was signed; everything else that of its bytes. */
function manifestDigest(body: Buffer, like: string | undefined): string {
  const plain = digestOf(body, like);
  if (plain === like) return plain;
  const payload = schema1Payload(body);
  return payload === null ? plain : digestOf(payload, like);
}

function headerOf(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name];
  return typeof value === 'string' ? value : undefined;
}
