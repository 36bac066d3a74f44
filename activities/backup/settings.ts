import type { InstallSettings } from '../../domain/manifest';
import { hideCredentials } from '../../domain/proxies';

/** A setting as text; empty when it is not there or of another kind. */
export function textOf(settings: Record<string, unknown>, name: string): string {
  const value = settings[name];
  return typeof value === 'string' ? value : '';
}

/** What the flags of `install` and `restore` set, from the answer of `meta/settings`; credentials of proxies are taken out. */
export function installSettings(settings: Record<string, unknown>, certificateFingerprint: string): InstallSettings {
  const dtrHost = textOf(settings, 'dtrHost');
  return {
    externalUrl: dtrHost === '' || /^https?:\/\//.test(dtrHost) ? dtrHost : `https://${dtrHost}`,
    httpProxy: hideCredentials(textOf(settings, 'httpProxy')),
    httpsProxy: hideCredentials(textOf(settings, 'httpsProxy')),
    noProxy: textOf(settings, 'noProxy'),
    logProtocol: textOf(settings, 'logProtocol'),
    logHost: textOf(settings, 'logHost'),
    logLevel: textOf(settings, 'logLevel'),
    scanningEnabled: settings.scanningEnabled === true,
    scanningSyncOnline: settings.scanningSyncOnline === true,
    readOnlyRegistry: settings.readOnlyRegistry === true,
    certificateFingerprint,
  };
}
