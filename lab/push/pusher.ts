/** Two ways to push a built tag: `skopeo copy`, as a person would, and the registry protocol itself, for many tags. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Endpoint, LabHttp } from './http';
import type { Blob, BuiltTag } from './image';

export interface Pusher {
  readonly name: 'skopeo' | 'direct';
  push(repository: string, tag: string, built: BuiltTag): Promise<void>;
  close(): Promise<void>;
}

const run = promisify(execFile);

/** Pushes by `skopeo copy`; the password stands in a file of mode 0600 that `close` removes. */
export async function skopeoPusher(endpoint: Endpoint): Promise<Pusher> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'drydock-push-'));
  const authFile = path.join(folder, 'auth.json');
  const certificates = path.join(folder, 'certs');
  const { username, password } = endpoint;
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  await writeFile(authFile, JSON.stringify({ auths: { [endpoint.registry]: { auth } } }), { mode: 0o600 });
  await mkdir(certificates);
  await copyFile(endpoint.caFile, path.join(certificates, 'ca.crt'));
  const push = async (repository: string, tag: string, built: BuiltTag): Promise<void> => {
    const image = await mkdtemp(path.join(folder, 'image-'));
    try {
      await writeLayout(image, built);
      const target = `docker://${endpoint.registry}/${repository}:${tag}`;
      const options = ['--all', '--preserve-digests', '--quiet', '--retry-times', '2', '--authfile', authFile, '--dest-cert-dir', certificates];
      // Signature policy: these images are made here and now.
      await run('skopeo', ['--insecure-policy', 'copy', ...options, `dir:${image}`, target]);
    } finally {
      await rm(image, { recursive: true, force: true });
    }
  };
  return { name: 'skopeo', push, close: () => rm(folder, { recursive: true, force: true }) };
}

/** skopeo's `dir:` layout: blobs by their hexadecimal digest, manifests beside them. */
async function writeLayout(folder: string, built: BuiltTag): Promise<void> {
  const hex = (blob: Blob): string => blob.digest.slice('sha256:'.length);
  await writeFile(path.join(folder, 'version'), 'Directory Transport Version: 1.1\n');
  for (const blob of built.blobs) await writeFile(path.join(folder, hex(blob)), blob.data);
  for (const child of built.children) await writeFile(path.join(folder, `${hex(child)}.manifest.json`), child.data);
  await writeFile(path.join(folder, 'manifest.json'), built.manifest.data);
}

/** Speaks the registry protocol: only blobs that the repository has not are sent. */
export function directPusher(http: LabHttp): Pusher {
  const push = async (repository: string, tag: string, built: BuiltTag): Promise<void> => {
    for (const blob of built.blobs) await sendBlob(http, repository, blob);
    for (const child of built.children) await sendManifest(http, repository, child.digest, child);
    await sendManifest(http, repository, tag, built.manifest);
  };
  return { name: 'direct', push, close: () => Promise.resolve() };
}

/** Sends a blob that the repository has not. */
export async function sendBlob(http: LabHttp, repository: string, blob: Blob): Promise<void> {
  const there = await http.registry('HEAD', `/v2/${repository}/blobs/${blob.digest}`, repository, { expect: [200, 404] });
  if (there.status === 200) return;
  const upload = await http.registry('POST', `/v2/${repository}/blobs/uploads/`, repository, { expect: [202] });
  const location = String(upload.headers['location']);
  const target = `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(blob.digest)}`;
  await http.registry('PUT', target, repository, { body: blob.data, headers: { 'content-type': 'application/octet-stream' }, expect: [201] });
}

/** Puts a manifest under a tag or its digest. */
export async function sendManifest(http: LabHttp, repository: string, reference: string, manifest: Blob): Promise<void> {
  await http.registry('PUT', `/v2/${repository}/manifests/${reference}`, repository, { body: manifest.data, headers: { 'content-type': manifest.mediaType }, expect: [201] });
}
