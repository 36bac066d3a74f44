import { fetchUrl, sendJson, type Router } from '../../common/http';
import { messageOf, serviceLog } from '../../common/log';
import { now } from '../../common/rows';
import { replicaSettings } from '../../common/settings';
import { Store } from '../../common/store';
import type { Access } from '../access';
import { address, cached, type Context } from '../context';
import { Guard } from '../registry/guard';

const RECOVERY_MS = 500;
const REPORT_MS = 3000;
/** A report older than this says that the replica is gone. */
const STALE_MS = 15_000;
const REPLICAS = '/dtr/replicas/';

interface Report {
  health: string;
  timestamp: string;
  readonly: boolean;
}

/** Health of this replica: asked when somebody asks, and reported to the store for the cluster's status. */
export class Health {
  /** Gives up early: a person is waiting. */
  private readonly store: Store;
  private readonly guard: Guard;
  readonly check = cached(1000, () => this.look());

  constructor(private readonly context: Context) {
    this.store = Store.at(context.replicaId, 3000);
    this.guard = new Guard(context);
  }

  /** Empty when all is well, else what is not. */
  private async look(): Promise<string> {
    const { replicaId } = this.context;
    const problems = await Promise.all([
      problem('metadata', this.store.property('replicaSettings')),
      problem('storage', answers(`${address('registry', replicaId)}/internal/health`)),
      problem('auth', answers(`${address('garant', replicaId)}/health`)),
    ]);
    return problems.filter((text) => text !== '').join('; ');
  }

  report(): void {
    let isWell = false;
    const once = async (): Promise<void> => {
      const error = await this.check();
      isWell = error === '';
      const report: Report = { health: error === '' ? 'OK' : error, timestamp: now(), readonly: await this.guard.isReadOnly() };
      await this.store.etcd.put(REPLICAS + this.context.replicaId, JSON.stringify(report));
    };
    const loop = (): void => {
      once()
        .catch((error: unknown) => serviceLog(`health cannot be reported: ${messageOf(error)}`))
        // What has just become well is not to be called ill for long.
        .finally(() => setTimeout(loop, isWell ? REPORT_MS : RECOVERY_MS));
    };
    loop();
  }

  async clusterStatus(): Promise<object> {
    const reports = new Map<string, Report>();
    for await (const kv of this.store.etcd.scan(REPLICAS)) reports.set(kv.key.slice(REPLICAS.length), JSON.parse(kv.value) as Report);
    const settings = await replicaSettings(this.store);
    const ids = [...new Set([...Object.keys(settings), ...reports.keys()])].sort();
    const entries = <T>(pick: (report: Report | undefined) => T): Record<string, T> => Object.fromEntries(ids.map((id) => [id, pick(reports.get(id))]));
    const members = await this.store.etcd.members();
    return {
      replica_health: entries((report) => healthText(report)),
      replica_timestamp: entries((report) => report?.timestamp ?? '0001-01-01T00:00:00Z'),
      replica_readonly: entries((report) => report?.readonly ?? false),
      gc_lock_holder: (await this.store.etcd.get('/dtr/gc/lock'))?.value ?? '',
      rethink_system_tables: { server_status: members.map((member) => ({ id: member.id, name: member.name, network: { canonical_addresses: [{ host: member.peerUrl }] } })), table_status: [] },
      current_issues: ids.filter((id) => healthText(reports.get(id)) !== 'OK').map((id) => ({ critical: false, description: `The replica ${id} is not healthy: ${healthText(reports.get(id))}` })),
    };
  }
}

function healthText(report: Report | undefined): string {
  if (!report) return 'Replica has not reported its health';
  return Date.now() - Date.parse(report.timestamp) > STALE_MS ? 'Replica reported health too long ago' : report.health;
}

async function problem(part: string, work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return '';
  } catch (error) {
    return `${part}: ${messageOf(error)}`;
  }
}

async function answers(url: string): Promise<void> {
  const { status } = await fetchUrl(url, { timeoutMs: 3000 });
  if (status !== 200) throw new Error(`answered ${status}`);
}

export function healthRoutes(router: Router, context: Context, access: Access, health: Health): void {
  router.on('GET', '/_ping', async ({ response }) => {
    const error = await health.check();
    sendJson(response, error === '' ? 200 : 503, { Error: error, Healthy: error === '' });
  });
  router.on('GET', '/health', async ({ response }) => {
    const error = await health.check();
    sendJson(response, error === '' ? 200 : 503, { error, healthy: error === '' });
  });
  router.on('GET', '/api/v0/meta/cluster_status', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    sendJson(response, 200, await health.clusterStatus());
  });
  router.on('GET', '/api/v0/admin/version', async ({ request, response }) => {
    await access.authenticate(request);
    sendJson(response, 200, { version: context.version });
  });
  router.on('GET', '/ca', async ({ response }) => {
    const [ca, cert] = await Promise.all([context.store.property<string>('webTLSCA'), context.store.property<string>('webTLSCert')]);
    response.writeHead(200, { 'content-type': 'application/x-pem-file' });
    response.end(ca === undefined || ca === '' ? cert : ca);
  });
}
