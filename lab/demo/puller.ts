/** Pulls images by digest with skopeo, from outside and over TLS, and hashes every file that arrives. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ADMIN } from '../contract';
import type { Lab } from '../cli/context';
import { LabError, run } from '../hosts/process';
import type { PushedImage } from '../push/push';

const PULL_SECONDS = 60;

export class Puller {
  private constructor(
    private readonly registry: string,
    private readonly folder: string,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** The login stands in a file of mode 0600 that `close` removes. */
  static async open(lab: Lab): Promise<Puller> {
    const registry = lab.names.addresses.lb;
    const folder = await mkdtemp(path.join(os.tmpdir(), 'drydock-pull-'));
    const auth = Buffer.from(`${ADMIN}:${await lab.state.password(ADMIN)}`).toString('base64');
    await writeFile(path.join(folder, 'auth.json'), JSON.stringify({ auths: { [registry]: { auth } } }), { mode: 0o600 });
    await mkdir(path.join(folder, 'certs'));
    await copyFile(lab.state.file('dtr-ca.pem'), path.join(folder, 'certs', 'ca.crt'));
    return new Puller(registry, folder, lab.signal);
  }

  /** Pulls one image whole, children of an index included; returns its bytes. Throws LabError when it cannot be had or is not what was pushed. */
  async pull({ repository, digest }: PushedImage): Promise<number> {
    const target = await mkdtemp(path.join(this.folder, 'image-'));
    try {
      await this.copy(`docker://${this.registry}/${repository}@${digest}`, target);
      return await hashAll(target, digest);
    } finally {
      await rm(target, { recursive: true, force: true });
    }
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  private async copy(source: string, target: string): Promise<void> {
    const limit = AbortSignal.timeout(PULL_SECONDS * 1000);
    const signal = this.signal === undefined ? limit : AbortSignal.any([this.signal, limit]);
    const options = ['--all', '--quiet', '--authfile', path.join(this.folder, 'auth.json'), '--src-cert-dir', path.join(this.folder, 'certs')];
    try {
      // Signature policy: the lab's images are not signed.
      await run('skopeo', ['--insecure-policy', 'copy', ...options, source, `dir:${target}`], { signal });
    } catch (error) {
      this.signal?.throwIfAborted();
      if (limit.aborted) throw new LabError(`no answer within ${PULL_SECONDS} s`);
      throw error instanceof LabError ? new LabError(reasonOf(error.message)) : error;
    }
  }
}

/** What skopeo says in its last log line. */
function reasonOf(message: string): string {
  const last = message.split('\n').at(-1) ?? message;
  return /msg="(.*)"/.exec(last)?.[1] ?? last;
}

/** skopeo's `dir:` layout names every file but the first manifest by its digest. */
async function hashAll(folder: string, digest: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(folder)) {
    const hex = name === 'manifest.json' ? digest.slice('sha256:'.length) : /^([0-9a-f]{64})(\.manifest\.json)?$/.exec(name)?.[1];
    if (hex === undefined) continue;
    const file = path.join(folder, name);
    const real = await sha256(file);
    if (real !== hex) throw new LabError(`what arrived as sha256:${hex} has the digest sha256:${real}`);
    total += (await stat(file)).size;
  }
  if (total === 0) throw new LabError(`nothing arrived for ${digest}`);
  return total;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
