/** Proxy URLs may carry a user and a password. They never stand in a history, in a clear file of the vault or in a command line. */
import type { InstallSettings } from './manifest';

type Settings = InstallSettings;

/** The settings that may hold credentials, by the bootstrapper's name for each in its environment and as a flag. */
const PROXIES = [
  { setting: 'httpProxy', env: 'DTR_HTTP_PROXY', flag: '--http-proxy' },
  { setting: 'httpsProxy', env: 'DTR_HTTPS_PROXY', flag: '--https-proxy' },
] as const;

const HIDDEN = '***@';

/** `http://user:password@proxy:3128` as `http://***@proxy:3128`; anything without credentials as it is. */
export function hideCredentials(proxy: string): string {
  // To the last `@`: a password that should have been escaped may hold one.
  return proxy.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, `$1${HIDDEN}`);
}

/** Flags of `install` and `restore` for proxies without credentials; one with them goes by the environment. */
export function proxyFlags(settings: Pick<Settings, 'httpProxy' | 'httpsProxy'>): string[] {
  return PROXIES.flatMap(({ setting, flag }) => (settings[setting] === '' || settings[setting].includes(HIDDEN) ? [] : [flag, settings[setting]]));
}

/** What has to be given by the environment: names and values of the proxies with credentials among the registry's own settings. */
export function secretProxies(live: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    PROXIES.flatMap(({ setting, env }) => {
      const value = live[setting];
      return typeof value === 'string' && hideCredentials(value) !== value ? [[env, value]] : [];
    }),
  );
}

/** Whether the manifest's settings stand without credentials that the registry had: those are in an artifact of their own. */
export function hasSecretProxies(settings: Pick<Settings, 'httpProxy' | 'httpsProxy'>): boolean {
  return PROXIES.some(({ setting }) => settings[setting].includes(HIDDEN));
}

/** Names and values as `docker run --env-file` reads them: one `NAME=value` a line. */
export function toEnvFile(values: Record<string, string>): string {
  return Object.entries(values).map(([name, value]) => `${name}=${value.replace(/[\r\n]/g, '')}\n`).join('');
}

/** The proxies of such a file; other names are passed over. */
export function fromEnvFile(text: string): Record<string, string> {
  const known = new Set<string>(PROXIES.map(({ env }) => env));
  return Object.fromEntries(text.split('\n').map((line) => [line.slice(0, Math.max(line.indexOf('='), 0)), line.slice(line.indexOf('=') + 1)] as const).filter(([name]) => known.has(name)));
}
