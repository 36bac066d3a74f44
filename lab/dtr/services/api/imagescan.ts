import type { IncomingMessage } from 'node:http';
import { fetchUrl, HttpError, readBody, sendJson, type Router } from '../../common/http';
import { newJob } from '../../common/jobs';
import { now } from '../../common/rows';
import { replicaSettings } from '../../common/settings';
import type { Access } from '../access';
import { address, type Context } from '../context';
import type { DatabaseState } from '../scanningstore';

/** How the last updates ended; beside the tables, as the vulnerability database is in no backup. */
export const SCAN_OUTCOME_KEY = '/dtr/scan/outcome';

export interface ScanOutcome {
  failed: boolean;
  message: string;
  at: string;
}

const LARGEST_UPLOAD = 512 << 20;

/** Vulnerability database: status, online and offline update. */
export function imagescanRoutes(router: Router, context: Context, access: Access): void {
  const { store } = context;
  const requireScanning = async (): Promise<void> => {
    if ((await store.property<boolean>('scanningEnabled')) !== true) throw new HttpError(400, 'SCANNING_NOT_ENABLED', 'Security scanning is not enabled on this DTR.');
  };
  router.on('GET', '/api/v0/imagescan/status', async ({ request, response }) => {
    await access.authenticate(request);
    await requireScanning();
    const outcome = JSON.parse((await store.etcd.get(SCAN_OUTCOME_KEY))?.value ?? '{"failed":false}') as ScanOutcome;
    const databases = await allDatabases(context);
    const own = databases[context.replicaId];
    sendJson(response, 200, {
      state: own?.version ? 1 : 0,
      db_version: own?.version ?? 0,
      db_updated_at: own?.updatedAt ?? '0001-01-01T00:00:00Z',
      scanner_version: 3,
      scannerUpdatedAt: own?.updatedAt ?? '0001-01-01T00:00:00Z',
      lastDBUpdateFailed: outcome.failed,
      lastVulnOverridesDBUpdateFailed: false,
      replicas: Object.fromEntries(Object.entries(databases).map(([id, state]) => [id, { db_version: state?.version ?? 0, db_updated_at: state?.updatedAt ?? '', replica_id: id }])),
    });
  });
  router.on('PUT', '/api/v0/imagescan/scan/update', async ({ request, response, url }) => {
    await access.authenticateAdmin(request);
    await requireScanning();
    if (url.searchParams.get('online') === 'true') {
      const job = await newJob(store, { action: 'update_vuln_db', parameters: {} });
      sendJson(response, 200, job);
      return;
    }
    const database = filePart(request, await readBody(request, LARGEST_UPLOAD));
    await distribute(context, database);
    const outcome: ScanOutcome = { failed: false, message: '', at: now() };
    await store.etcd.put(SCAN_OUTCOME_KEY, JSON.stringify(outcome));
    sendJson(response, 200, {});
  });
}

async function allDatabases(context: Context): Promise<Record<string, DatabaseState | null>> {
  const ids = Object.keys(await replicaSettings(context.store));
  const states = await Promise.all(
    ids.map(async (id) => {
      const answer = await fetchUrl(`${address('scanningstore', id)}/status`, { timeoutMs: 2000 }).catch(() => null);
      return [id, answer?.status === 200 ? (JSON.parse(answer.body.toString()) as DatabaseState) : null] as const;
    }),
  );
  return Object.fromEntries(states);
}

/** Gives a database file to every replica's store; throws 400 when it is none. */
async function distribute(context: Context, database: Buffer): Promise<void> {
  for (const id of Object.keys(await replicaSettings(context.store))) {
    const answer = await fetchUrl(`${address('scanningstore', id)}/database`, { method: 'PUT', body: database }).catch(() => null);
    if (answer?.status === 400) throw new HttpError(400, 'SCANNING_DB_NOT_READY', 'The uploaded file is not a vulnerability database.');
    if (answer?.status !== 200 && id === context.replicaId) throw new HttpError(400, 'SCANNING_DB_NOT_READY', 'The scanning store is not ready.');
  }
}

/** The file in a multipart body: the part is named `file` or, by other tools, `upload`. */
function filePart(request: IncomingMessage, body: Buffer): Buffer {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(request.headers['content-type'] ?? '')?.[1];
  if (boundary === undefined) throw new HttpError(400, 'INVALID_PARAMETERS', 'The database must be sent as multipart/form-data');
  const delimiter = Buffer.from(`--${boundary}`);
  let at = body.indexOf(delimiter);
  while (at >= 0) {
    const headStart = at + delimiter.length + 2;
    const headEnd = body.indexOf('\r\n\r\n', headStart);
    const next = body.indexOf(Buffer.from(`\r\n--${boundary}`), headStart);
    if (headEnd < 0 || next < 0) break;
    if (/name="(file|upload)"/.test(body.subarray(headStart, headEnd).toString())) return body.subarray(headEnd + 4, next);
    at = next + 2;
  }
  throw new HttpError(400, 'INVALID_PARAMETERS', 'The form has no part named file or upload');
}
