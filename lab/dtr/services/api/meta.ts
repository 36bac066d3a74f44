import { HttpError, readJson, sendJson, type Router } from '../../common/http';
import { DEFAULT_SETTINGS, READ_ONLY_SETTINGS, replicaSettings, SECRET_PROPERTIES } from '../../common/settings';
import { parsePositive } from './paging';
import { newJob } from '../../common/jobs';
import type { Access } from '../access';
import type { Context } from '../context';

/** Settings that are no default but shown and changed like one. */
const ALSO_SHOWN = ['webTLSCA', 'webTLSCert', 'clusterID', 'clientCertAuthCA', 'customCACertBundle'];
const WEEK_MS = 7 * 86_400_000;

/** Settings, alerts and features under /api/v0/meta. */
export function metaRoutes(router: Router, context: Context, access: Access): void {
  const { store } = context;
  const settings = async (): Promise<Record<string, unknown>> => {
    const all = await store.properties();
    const shown = [...Object.keys(DEFAULT_SETTINGS), ...ALSO_SHOWN].filter((key) => all[key] !== undefined && !SECRET_PROPERTIES.has(key));
    return { ...Object.fromEntries(shown.map((key) => [key, all[key]])), replicaID: context.replicaId, replicaSettings: await replicaSettings(store) };
  };
  router.on('GET', '/api/v0/meta/settings', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    sendJson(response, 200, await settings());
  });
  router.on('POST', '/api/v0/meta/settings', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    const changes = checkChanges(await readJson(request));
    const before = await store.properties();
    await store.setProperties(changes);
    // Turning scanning on, or changing its source, starts an update.
    const switched = (changes.scanningEnabled === true && before.scanningEnabled !== true) || (changes.scanningSyncOnline !== undefined && changes.scanningSyncOnline !== before.scanningSyncOnline);
    const online = changes.scanningSyncOnline ?? before.scanningSyncOnline;
    if (switched && online === true && (changes.scanningEnabled ?? before.scanningEnabled) === true) await newJob(store, { action: 'update_vuln_db', parameters: {} });
    sendJson(response, 202, await settings());
  });
  router.on('GET', '/api/v0/meta/features', async ({ request, response }) => {
    await access.authenticate(request);
    const all = await store.properties();
    sendJson(response, 200, {
      scanningEnabled: all.scanningEnabled === true,
      scanningLicensed: all.scanningLicensed === true,
      promotionLicensed: true,
      db_version: 0,
      ucpHost: all.ucpHost,
      onlineGCEnabled: context.blobsById,
      metadataStoreOptedIn: context.blobsById,
    });
  });
  router.on('GET', '/api/v0/meta/alerts', async ({ request, response }) => {
    await access.authenticate(request);
    const last = Number((await store.etcd.get('/dtr/lastBackup'))?.value ?? 0);
    const wanted = (await store.property<boolean>('disableBackupWarning')) !== true && Date.now() - last > WEEK_MS;
    sendJson(response, 200, wanted ? [{ id: 'backup', class: 'warning', message: 'No recent backup of this DTR was made', img: '', url: '' }] : []);
  });
}

/** Only known settings of their own kind; throws 400 INVALID_SETTINGS naming the field. */
function checkChanges(body: Record<string, unknown>): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(body)) {
    if (READ_ONLY_SETTINGS.has(key)) continue;
    const known = (DEFAULT_SETTINGS as Record<string, unknown>)[key];
    const kind = known === undefined && (ALSO_SHOWN.includes(key) || key === 'webTLSKey') ? 'string' : typeof known;
    if (kind === 'undefined') throw new HttpError(400, 'INVALID_SETTINGS', `The submitted settings are invalid: ${key} is not a setting`);
    if (typeof value !== kind) throw new HttpError(400, 'INVALID_SETTINGS', `The submitted settings are invalid: ${key} must be a ${kind}`);
    if (kind === 'number') parsePositive(String(value), key);
    changes[key] = value;
  }
  return changes;
}
