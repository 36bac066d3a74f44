import { X509Certificate } from 'node:crypto';
import { DrydockError } from '../../domain/errors';
import { classifyNetworkError, type HttpCall, type TlsOptions } from '../http/http';
import { TlsDialer } from '../http/tls';
import { DTR, DtrApi, type DtrLogin } from './api';
import type { ClusterStatus, Cron, Dtr, ImagescanStatus, Job, RemoteTag, Repository, TeamAccess } from './dtr';
import * as schemas from './schemas';
import { multipartFile } from './upload';

/** Where DTR is, how it is checked, and the login (the administrator of UCP). */
export type DtrOptions = { url: string; /** Ends what only looks when it fires. */ signal?: AbortSignal } & Pick<TlsOptions, 'ca' | 'caFile' | 'insecure'> & DtrLogin;

const PING_TIMEOUT_MS = 15_000;
const UPLOAD_TIMEOUT_MS = 30 * 60_000;
const JOBS_PAGE = 100;
const DEFAULT_JOBS = 1_000;

/** DTR's API under one address. Opens no connection before the first call; calls do not retry. */
export function connectDtr(options: DtrOptions): Dtr {
  return new DtrClient(options);
}

class DtrClient implements Dtr {
  readonly url: string;
  private readonly api: DtrApi;

  constructor(options: DtrOptions) {
    const { ca, caFile, insecure, username, password } = options;
    this.api = new DtrApi(options.url, { ca, caFile, insecure }, { username, password }, options.signal);
    this.url = this.api.http.baseUrl;
  }

  get clockOffsetMs(): number | undefined {
    return this.api.clockOffsetMs;
  }

  ping(): Promise<{ healthy: boolean; error: string }> {
    return this.healthAt('_ping');
  }

  health(): Promise<{ healthy: boolean; error: string }> {
    return this.healthAt('health');
  }

  clusterStatus(): Promise<ClusterStatus> {
    return this.api.get('meta/cluster_status', schemas.clusterStatus);
  }

  async version(): Promise<string> {
    return (await this.api.get('admin/version', schemas.version)).version.replace(/^v/, '');
  }

  settings(): Promise<Record<string, unknown>> {
    return this.api.get('meta/settings', schemas.settings);
  }

  async updateSettings(partial: Record<string, unknown>): Promise<void> {
    await this.api.send({ method: 'POST', path: 'meta/settings', json: partial });
  }

  crons(): Promise<Cron[]> {
    return this.api.get('crons', schemas.wrappedList('crons', schemas.cron));
  }

  cron(action: string): Promise<Cron | null> {
    return orNull(this.api.get(`crons/${encodeURIComponent(action)}`, schemas.cron));
  }

  async putCron(cron: Cron): Promise<void> {
    // DTR gives these two itself.
    const { id: _id, nextRun: _nextRun, ...body } = cron;
    await this.api.send({ method: 'POST', path: 'crons', json: body });
  }

  async deleteCron(action: string): Promise<void> {
    await orNull(this.api.send({ method: 'DELETE', path: `crons/${encodeURIComponent(action)}` }));
  }

  async jobs(filter: { action?: string; running?: boolean; limit?: number } = {}): Promise<Job[]> {
    const limit = filter.limit ?? DEFAULT_JOBS;
    const seen = new Set<string>();
    const found: Job[] = [];
    for (let start = 0; found.length < limit; start += JOBS_PAGE) {
      const query = { action: filter.action ?? 'any', worker: 'any', running: filter.running ?? 'any', start, limit: JOBS_PAGE };
      const page = await this.api.get('jobs', schemas.wrappedList('jobs', schemas.job), query);
      const fresh = page.filter((job) => !seen.has(job.id));
      for (const { id } of fresh) seen.add(id);
      // Filtered again: not every version minds every parameter.
      found.push(...fresh.filter((job) => wanted(job, filter)));
      if (page.length < JOBS_PAGE || fresh.length === 0) break;
    }
    return found.slice(0, limit);
  }

  job(id: string): Promise<Job | null> {
    return orNull(this.api.get(`jobs/${encodeURIComponent(id)}`, schemas.job));
  }

  async startJob(action: string, parameters: unknown = {}): Promise<string> {
    const call: HttpCall = { method: 'POST', path: 'jobs', json: { action, parameters, retries: 0, deadline: '', stopTimeout: '' } };
    return (await this.api.parsedSend(call, schemas.started)).id;
  }

  repositories(): Promise<Repository[]> {
    return this.api.pages('repositories', schemas.wrappedList('repositories', schemas.repository), ({ namespace, name }) => `${namespace}/${name}`);
  }

  tags(namespace: string, name: string): Promise<RemoteTag[]> {
    return this.api.pages(`repositories/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/tags`, schemas.wrappedList('tags', schemas.tag), (tag) => tag.name);
  }

  teamAccess(namespace: string, name: string): Promise<TeamAccess[]> {
    const path = `repositories/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/teamAccess`;
    return this.api.pages(path, schemas.wrappedList('teamAccessList', schemas.teamAccess), ({ teamId }) => teamId);
  }

  namespaceAccess(namespace: string): Promise<TeamAccess[]> {
    const path = `repositoryNamespaces/${encodeURIComponent(namespace)}/teamAccess`;
    return this.api.pages(path, schemas.wrappedList('teamAccessList', schemas.teamAccess), ({ teamId }) => teamId);
  }

  async imagescanStatus(): Promise<ImagescanStatus | null> {
    try {
      return await this.api.get('imagescan/status', schemas.imagescanStatus);
    } catch (error) {
      if (error instanceof DrydockError && error.details?.code === 'SCANNING_NOT_ENABLED') return null;
      throw error;
    }
  }

  async updateVulnerabilityDatabase(source: { online: true } | { file: string }): Promise<void> {
    const path = 'imagescan/scan/update';
    if ('online' in source) {
      await this.api.send({ method: 'PUT', path, query: { online: true } });
      return;
    }
    const upload = async (part: string) => this.api.send({ method: 'PUT', path, query: { online: false }, timeoutMs: UPLOAD_TIMEOUT_MS, ...(await multipartFile(part, source.file)) });
    try {
      await upload('file');
    } catch (error) {
      // The API description names the part `file`, a published audit guide `upload`.
      if (!(error instanceof DrydockError && error.kind === 'InvalidInput' && error.details?.status === 400)) throw error;
      await upload('upload');
    }
  }

  async certificateFingerprint(): Promise<string> {
    const { hostname, port, host } = new URL(this.url);
    // Looking at a certificate needs no trust in it, and a wrong one must be seen to be reported.
    const dialer = new TlsDialer({ insecure: true });
    try {
      const socket = await dialer.dial(hostname, Number(port || 443), PING_TIMEOUT_MS);
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate instanceof X509Certificate) return certificate.fingerprint256;
    } catch (error) {
      throw classifyNetworkError(error, DTR, host);
    }
    throw new DrydockError('TlsRejected', `DTR at ${host} shows no certificate`);
  }

  close(): Promise<void> {
    return this.api.close();
  }

  private async healthAt(path: string): Promise<{ healthy: boolean; error: string }> {
    try {
      const answer = await this.api.http.json({ path, ok: [200, 500, 503], timeoutMs: PING_TIMEOUT_MS });
      this.api.noteClock(answer);
      const body = schemas.health.catch({}).parse(answer.json);
      const healthy = answer.status === 200 && (body.Healthy ?? body.healthy ?? false);
      return { healthy, error: healthy ? '' : body.Error || body.error || `DTR answered ${answer.status} to /${path}` };
    } catch (error) {
      if (error instanceof DrydockError) return { healthy: false, error: error.message };
      throw error;
    }
  }
}

function wanted(job: Job, filter: { action?: string; running?: boolean }): boolean {
  if (filter.action !== undefined && job.action !== filter.action) return false;
  const isRunning = job.status === 'running' || job.status === 'cancel_request';
  return filter.running === undefined || filter.running === isRunning;
}

async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DrydockError && error.kind === 'NotFound') return null;
    throw error;
  }
}
