/** Flags of the vendor's bootstrapper by version. `restore` takes nothing from the archive that a flag covers, so every setting is given. */
import type { SavedCron } from './changes';
import type { InstallSettings, Replica } from './manifest';
import type { RestoreDecisions } from './plan';
import { proxyFlags } from './proxies';

type StorageDecision = Pick<RestoreDecisions, 'storage' | 'version' | 'volume'> & { crons: readonly Pick<SavedCron, 'action'>[] };

/** `2.9.4` as numbers; what is missing is 0. */
export function versionParts(version: string): [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = (/^\D*(\d+)\.(\d+)(?:\.(\d+))?/.exec(version)?.slice(1) ?? []).map((part) => Number(part ?? 0));
  return [major, minor, patch];
}

/** Whether `version` is at least `2.minor.patch`. */
export function isAtLeast(version: string, minor: number, patch = 0): boolean {
  const [major, ownMinor, ownPatch] = versionParts(version);
  if (major !== 2) return major > 2;
  return ownMinor > minor || (ownMinor === minor && ownPatch >= patch);
}

/**
 * With online garbage collection, versions before 2.6.4 start with an empty metadata store when `--nfs-storage-url` is given: all tags are
 * erased. There the volume is created beforehand and named instead.
 */
export function nfsFlagErasesTags({ version, crons }: Pick<StorageDecision, 'version' | 'crons'>): boolean {
  if (isAtLeast(version, 6, 4) || !isAtLeast(version, 5)) return false;
  return isAtLeast(version, 6) || crons.some(({ action }) => action.startsWith('onlinegc'));
}

/** The storage flag of `restore`: exactly one is mandatory from 2.6 on; `--dtr-use-default-storage` is unknown before. */
export function storageFlags(decision: StorageDecision): string[] {
  const { storage, version, volume } = decision;
  const byDefault = isAtLeast(version, 6) ? ['--dtr-use-default-storage'] : [];
  switch (storage.kind) {
    case 'local':
    case 'external':
      return byDefault;
    case 'volume':
      return ['--dtr-storage-volume', storage.storageVolume ?? volume?.name ?? ''];
    case 'nfs': {
      if (nfsFlagErasesTags(decision) && volume) return ['--dtr-storage-volume', volume.name];
      const options = storage.nfsOptions !== undefined && storage.nfsOptions !== '' && isAtLeast(version, 8) ? ['--nfs-options', storage.nfsOptions] : [];
      return ['--nfs-storage-url', storage.nfsUrl ?? '', ...options];
    }
  }
}

/** What the plan shows: the storage flag as it will be given. */
export function storageFlagText(decision: StorageDecision): string {
  return storageFlags(decision).join(' ') || '(none: this version knows only the local volume)';
}

/** All flags of `restore` but those of UCP and its login, and without proxies that hold credentials: those go by the environment. */
export function restoreFlags(decisions: StorageDecision & Pick<RestoreDecisions, 'first' | 'externalUrl'>, settings: InstallSettings): string[] {
  const optional: [string, string][] = [
    ['--no-proxy', settings.noProxy],
    ['--log-protocol', settings.logProtocol],
    ['--log-host', settings.logHost],
    ['--log-level', settings.logLevel],
  ];
  return [
    ...placeFlags(decisions.first),
    '--dtr-external-url', decisions.externalUrl,
    ...storageFlags(decisions),
    ...proxyFlags(settings),
    ...optional.flatMap(([flag, value]) => (value === '' ? [] : [flag, value])),
  ];
}

/** All flags of `join`; the storage is that of the cluster. */
export function joinFlags(existing: Replica, replica: Replica): string[] {
  return ['--existing-replica-id', existing.id, ...placeFlags(replica)];
}

export function destroyFlags(replicaId: string): string[] {
  return ['--replica-id', replicaId];
}

function placeFlags({ id, node, httpPort, httpsPort }: Replica): string[] {
  return ['--replica-id', id, '--ucp-node', node, '--replica-http-port', String(httpPort), '--replica-https-port', String(httpsPort)];
}
