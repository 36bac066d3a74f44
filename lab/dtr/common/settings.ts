import type { ReplicaSetting } from './rows';
import type { Store } from './store';

/** Where images are kept. */
export interface StorageSettings {
  /** Volume or path given with `--dtr-storage-volume`. */
  storageVolume: string;
  nfsHost: string;
  nfsPath: string;
  nfsOptions: string;
}

/** What the flags of install, restore and reconfigure set. */
export interface InstallSettings extends StorageSettings {
  /** Host and port of the external URL; empty when none was given. */
  dtrHost: string;
  sso: boolean;
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
  logProtocol: string;
  logHost: string;
  logLevel: string;
  pprof: boolean;
}

/** Settings that `GET /api/v0/meta/settings` shows and their values after an installation. The keys are rows of the table `properties`. */
export const DEFAULT_SETTINGS = {
  anonymizeAnalytics: false,
  authBypassCA: '',
  authBypassOU: '',
  createRepositoryOnPush: false,
  disableBackupWarning: false,
  disableUpgrades: false,
  dtrHost: '',
  enableClientCertAuth: false,
  gcMode: 'online',
  httpProxy: '',
  httpsProxy: '',
  jobHistoryCompactionEnabled: false,
  jobHistoryToKeep: 0,
  jobHistoryMaxAge: '',
  logHost: '',
  logLevel: 'INFO',
  logProtocol: 'internal',
  nfsHost: '',
  nfsOptions: '',
  nfsPath: '',
  noProxy: '',
  pprof: false,
  promotionPoliciesEnabled: true,
  pruningPoliciesEnabled: true,
  pushMirroringEnabled: true,
  pollMirroringEnabled: true,
  readOnlyRegistry: false,
  repoEventsToKeep: 0,
  reportAnalytics: false,
  rethinkdbCacheMB: 0,
  scanningEnabled: false,
  scanningEnqueuePriority: 'normal',
  scanningSkipLargeLayers: false,
  scanningSyncOnline: true,
  scanTimeoutSeconds: 3600,
  sso: false,
  storageVolume: '',
  ucpHost: '',
  webhookRetries: 5,
} as const;

/** Settings that only the installation itself may change. */
export const READ_ONLY_SETTINGS = new Set(['nfsHost', 'nfsPath', 'storageVolume', 'ucpHost', 'replicaSettings', 'replicaID']);

/** Properties that hold keys or credentials: never shown by the API. */
export const SECRET_PROPERTIES = new Set(['webTLSKey', 'rootCAKey', 'garantSigningKey', 'ucpClientCert', 'ucpClientKey', 'licenseKey']);

export async function replicaSettings(store: Store): Promise<Record<string, ReplicaSetting>> {
  return (await store.property<Record<string, ReplicaSetting>>('replicaSettings')) ?? {};
}
