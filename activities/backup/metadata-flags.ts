import type { ClusterConfig } from '../../domain/config';

/** Flags that leave tables out, as far as this version knows them; a warning for each that is configured in vain. */
export function ignoreFlags(config: ClusterConfig['bootstrapper'], version: string): { flags: string[]; warnings: string[] } {
  const wanted = [
    { set: config.ignoreEventsTable, flag: '--ignore-events-table', since: '2.8.0' },
    { set: config.ignoreScanData, flag: '--ignore-scan-data', since: '2.9.18' },
  ].filter(({ set }) => set);
  return {
    flags: wanted.filter(({ since }) => isAtLeast(version, since)).map(({ flag }) => flag),
    warnings: wanted.filter(({ since }) => !isAtLeast(version, since)).map(({ flag, since }) => `${flag} needs DTR ${since}; this one is ${version}, so its tables are backed up.`),
  };
}

function isAtLeast(version: string, since: string): boolean {
  const have = version.split('.').map(Number);
  for (const [at, part] of since.split('.').map(Number).entries()) {
    const own = have[at] ?? 0;
    if (own !== part) return own > part;
  }
  return true;
}
