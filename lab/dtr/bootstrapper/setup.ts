import { randomBytes, randomUUID } from 'node:crypto';
import { chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { nextRun } from '../common/cron';
import { Fatal, type Log } from '../common/log';
import { derOf, newCa, newCertificate, type KeyPair } from '../common/pki';
import { now, type CronRow, type ReplicaSetting } from '../common/rows';
import { DEFAULT_SETTINGS, type InstallSettings, type StorageSettings } from '../common/settings';
import type { Store } from '../common/store';
import { storesBlobsById } from '../common/tables';
import type { Flags } from './flags';
import type { ReplicaSpec } from './replica';
import { STORAGE_PATH_MOUNT, type PhaseTwoRequest } from './request';

const NOBODY = 65534;
const NFS_ROOT = '/srv/nfs';

export function portsFrom(flags: Flags, known?: ReplicaSetting): { httpPort: number; httpsPort: number } {
  const port = (name: string, fallback: number): number => (flags[name] ? Number(flags[name]) : fallback);
  return { httpPort: port('replica-http-port', known?.HTTPPort ?? 80), httpsPort: port('replica-https-port', known?.HTTPSPort ?? 443) };
}

export function storageFrom(flags: Flags): StorageSettings {
  const url = flags['nfs-storage-url'] ? new URL(flags['nfs-storage-url'].replace(/^nfs:/, 'http:')) : null;
  const options = flags['nfs-options'] ?? (flags['async-nfs'] === 'true' ? 'async' : '');
  return {
    storageVolume: flags['dtr-storage-volume'] ?? '',
    nfsHost: url?.host ?? '',
    nfsPath: url ? url.pathname.replace(/\/+$/, '') : '',
    nfsOptions: url ? options : '',
  };
}

export async function storedStorage(store: Store): Promise<StorageSettings> {
  const all = await store.properties();
  const text = (key: string): string => (typeof all[key] === 'string' ? all[key] : '');
  return { storageVolume: text('storageVolume'), nfsHost: text('nfsHost'), nfsPath: text('nfsPath'), nfsOptions: text('nfsOptions') };
}

/** Makes a fresh place for images fit for the services. The export must be one that the hosts share; a server would refuse to mount any other. */
export async function prepareExport(storage: StorageSettings): Promise<void> {
  if (storage.storageVolume.startsWith('/')) return ownIfEmpty(STORAGE_PATH_MOUNT);
  if (storage.nfsHost === '' || storage.storageVolume !== '') return;
  const folder = path.resolve(storage.nfsPath);
  if (!folder.startsWith(`${NFS_ROOT}/`)) throw new Fatal(`Failed to mount ${storage.nfsHost}:${storage.nfsPath}: mount.nfs: access denied by server while mounting`);
  await mkdir(folder, { recursive: true });
  await ownIfEmpty(folder);
}

/** A fresh folder belongs to the services; one with content is as its owner made it. */
async function ownIfEmpty(folder: string): Promise<void> {
  const content = await readdir(folder).catch(() => ['not mounted here']);
  if (content.length === 0) await chown(folder, NOBODY, NOBODY);
}

/** Key material of the replica itself in its `dtr-ca` volume (mounted at /ca); made anew at each installation. */
export async function internalCertificates(replicaId: string): Promise<void> {
  const ca = await newCa('rethink CA');
  const [server, client] = await Promise.all([
    newCertificate(ca, `dtr-rethinkdb-${replicaId}`, [`dtr-rethinkdb-${replicaId}.dtr-ol`]),
    newCertificate(ca, `dtr-client-${replicaId}`, [`dtr-client-${replicaId}`]),
  ]);
  await writePair('/ca/rethink', { ...server, ca: ca.cert });
  await writePair('/ca/rethink-client', { ...client, ca: ca.cert });
}

async function writePair(folder: string, pair: KeyPair & { ca: string }): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await writeFile(path.join(folder, 'ca.pem'), pair.ca);
  await writeFile(path.join(folder, 'cert.pem'), pair.cert);
  await writeFile(path.join(folder, 'key.pem'), pair.key, { mode: 0o600 });
}

/** What flags of install, restore and reconfigure say about settings; absent ones are left out. */
function settingsFrom(flags: Flags): Partial<InstallSettings> {
  const settings: Partial<InstallSettings> = {};
  const url = flags['dtr-external-url'];
  if (url !== undefined) {
    settings.dtrHost = url.replace(/^https?:\/\//, '').replace(/\/.*$/, '').replace(/:443$/, '');
    settings.sso = settings.dtrHost !== '';
  }
  const copied = [['http-proxy', 'httpProxy'], ['https-proxy', 'httpsProxy'], ['no-proxy', 'noProxy'], ['log-protocol', 'logProtocol'], ['log-host', 'logHost'], ['log-level', 'logLevel']] as const;
  for (const [flag, key] of copied) {
    const value = flags[flag];
    if (value !== undefined) settings[key] = value;
  }
  if (flags['enable-pprof'] === 'true') settings.pprof = true;
  return settings;
}

/** Other properties that flags set verbatim. */
function extraProperties(flags: Flags): Record<string, unknown> {
  const extra: Record<string, unknown> = {};
  if (flags['client-cert-auth-ca'] !== undefined) extra.clientCertAuthCA = flags['client-cert-auth-ca'];
  if (flags['custom-ca-cert-bundle'] !== undefined) extra.customCACertBundle = flags['custom-ca-cert-bundle'];
  if (flags['enable-client-cert-auth'] === 'true') extra.enableClientCertAuth = true;
  if (flags['replica-rethinkdb-cache-mb']) extra.rethinkdbCacheMB = Number(flags['replica-rethinkdb-cache-mb']);
  return extra;
}

/** Settings of a fresh replica: those of the archive when there is one, but what install flags cover is as the flags say, given or not. */
export async function initialise(store: Store, request: PhaseTwoRequest, spec: ReplicaSpec, log: Log): Promise<void> {
  const stored = await store.properties();
  const { flags, version } = request;
  const base = {
    ...DEFAULT_SETTINGS,
    gcMode: storesBlobsById(version) ? 'online' : 'full',
    clientCertAuthCA: '',
    customCACertBundle: '',
    clusterID: randomUUID(),
    schemaVersion: storesBlobsById(version) ? 29 : 13,
    tagMigrationComplete: true,
    onlineGCEnabled: storesBlobsById(version),
    metadataStoreOptedIn: storesBlobsById(version),
    licenseAutoRefresh: true,
    licenseKey: randomBytes(16).toString('hex'),
    licenseExpiration: '2031-12-31T00:00:00.000Z',
    licenseTier: 'Production',
    scanningLicensed: true,
    installedAt: now(),
    analyticsID: randomUUID(),
  };
  const covered: InstallSettings = { dtrHost: '', sso: false, httpProxy: '', httpsProxy: '', noProxy: '', logProtocol: 'internal', logHost: '', logLevel: 'INFO', pprof: false, ...spec.storage };
  await store.setProperties({
    ...base,
    ...stored,
    ...covered,
    ...settingsFrom(flags),
    ...extraProperties(flags),
    ...ucpProperties(request),
    dtrVersion: version,
    replicaSettings: { [spec.id]: { HTTPPort: spec.httpPort, HTTPSPort: spec.httpsPort, node: request.node } },
  });
  await ensureCertificates(store, request, log);
  if (request.command !== 'install' || stored.installedAt !== undefined) return;
  for (const cron of firstCrons(version)) await store.put('crons', cron);
  await store.put('metrics', { id: 'usage', collectedAt: now(), replicas: 1 });
}

function ucpProperties({ ucp }: PhaseTwoRequest): Record<string, unknown> {
  return { ucpHost: new URL(ucp.url).host, ucpURL: ucp.url, ucpCA: ucp.ca ?? '', ucpInsecureTLS: ucp.insecure === true, ucpClientCert: ucp.cert ?? '', ucpClientKey: ucp.key ?? '' };
}

/** Settings that reconfigure changes: only what was given. */
export async function applyFlags(store: Store, request: PhaseTwoRequest, before: StorageSettings): Promise<void> {
  const { flags } = request;
  const next = storageFrom(flags);
  const storage = { ...before };
  if (flags['nfs-storage-url'] !== undefined) Object.assign(storage, { nfsHost: next.nfsHost, nfsPath: next.nfsPath, nfsOptions: next.nfsOptions, storageVolume: '' });
  if (flags['dtr-storage-volume'] !== undefined) Object.assign(storage, { storageVolume: next.storageVolume, nfsHost: '', nfsPath: '', nfsOptions: '' });
  await store.setProperties({ ...storage, ...settingsFrom(flags), ...extraProperties(flags), ...ucpProperties(request) });
  if (request.web) await store.setProperties({ webTLSCert: request.web.cert, webTLSKey: request.web.key, webTLSCA: request.web.ca });
}

/** The registry's certificate: the one given, the one of the archive, or one of a new authority of this cluster. */
async function ensureCertificates(store: Store, request: PhaseTwoRequest, log: Log): Promise<void> {
  const stored = await store.properties();
  if (request.web) {
    await store.setProperties({ webTLSCert: request.web.cert, webTLSKey: request.web.key, webTLSCA: request.web.ca });
  } else if (!stored.webTLSCert) {
    const ca = await newCa('DTR root CA');
    const external = typeof stored.dtrHost === 'string' ? stored.dtrHost.replace(/:\d+$/, '') : '';
    const hosts = [...new Set([external, request.node].filter((host) => host !== ''))];
    const pair = await newCertificate(ca, hosts[0] ?? 'dtr', hosts);
    log.info(`Generated TLS certificate. domain=${hosts[0] ?? ''}`);
    await store.setProperties({ webTLSCert: pair.cert, webTLSKey: pair.key, webTLSCA: ca.cert, rootCAKey: ca.key });
  }
  if (!stored.garantSigningKey) {
    const signer = await newCa('garant', 'rsa');
    await store.setProperties({ garantSigningKey: signer.key, garantRootCert: signer.cert, garantCertDER: derOf(signer.cert), internalToken: randomBytes(24).toString('hex') });
  }
}

/** Three, as in a fresh installation of 2.9. */
function firstCrons(version: string): CronRow[] {
  const cron = (action: string, schedule: string): CronRow => ({
    id: randomUUID(), action, schedule, retries: 0, capacityMap: {}, parameters: {}, deadline: '', stopTimeout: '', nextRun: nextRun(schedule, new Date()).toISOString(),
  });
  return [cron(storesBlobsById(version) ? 'onlinegc' : 'gc', '0 0 1 * * 6'), cron('update_vuln_db', '0 0 3 * * *'), cron('license_update', '0 30 4 * * *')];
}
