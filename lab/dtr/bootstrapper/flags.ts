import { minorOf } from '../common/tables';

export type Command = 'install' | 'join' | 'remove' | 'destroy' | 'backup' | 'restore' | 'reconfigure' | 'emergency-repair' | 'images';
export const COMMANDS: readonly Command[] = ['install', 'join', 'remove', 'destroy', 'backup', 'restore', 'reconfigure', 'emergency-repair', 'images'];

type Kind = 'string' | 'bool';

interface Flag {
  name: string;
  env: string;
  kind: Kind;
  commands: readonly Command[];
  /** Second minor version number in which the flag appeared (2.x). */
  since: number;
  help: string;
  /** Other spelling that means the same. */
  alias?: string;
}

const SETTING: readonly Command[] = ['install', 'restore', 'reconfigure'];
const ANY: readonly Command[] = COMMANDS.filter((command) => command !== 'images');

const f = (name: string, env: string, kind: Kind, commands: readonly Command[], help: string, since = 0, alias?: string): Flag => ({
  name, env, kind, commands, since, help, ...(alias ? { alias } : {}),
});

/** dtr.md 1.2 to 1.10. */
const FLAGS: readonly Flag[] = [
  f('ucp-url', 'UCP_URL', 'string', ANY, 'The UCP URL including domain and port'),
  f('ucp-username', 'UCP_USERNAME', 'string', ANY, 'The UCP administrator username'),
  f('ucp-password', 'UCP_PASSWORD', 'string', ANY, 'The UCP administrator password'),
  f('ucp-ca', 'UCP_CA', 'string', ANY, 'Use a PEM-encoded TLS CA certificate for UCP'),
  f('ucp-insecure-tls', 'UCP_INSECURE_TLS', 'bool', ANY, 'Disable TLS verification for UCP'),
  f('debug', 'DEBUG', 'bool', ANY, 'Enable debug mode for additional logs'),
  f('help-extended', 'DTR_EXTENDED_HELP', 'bool', ANY, 'Display extended help text for a given command'),

  f('existing-replica-id', 'DTR_REPLICA_ID', 'string', ['backup', 'join', 'remove', 'reconfigure', 'emergency-repair'], 'The ID of an existing DTR replica'),
  f('replica-id', 'DTR_INSTALL_REPLICA_ID', 'string', ['install', 'restore', 'join'], 'Assign a 12-character hexadecimal ID to the DTR replica. Random by default'),
  f('replica-id', 'DTR_DESTROY_REPLICA_ID', 'string', ['destroy'], 'The ID of the replica to destroy'),
  f('replica-ids', 'DTR_REMOVE_REPLICA_IDS', 'string', ['remove'], 'A comma separated list of IDs of replicas to remove', 3, 'replica-id'),
  f('ucp-node', 'UCP_NODE', 'string', ['install', 'restore', 'join'], 'The hostname of the UCP node to deploy DTR. Random by default'),

  f('offline-backup', 'DTR_OFFLINE_BACKUP', 'bool', ['backup'], 'Take the replica database down during the backup', 5),
  f('ignore-events-table', 'DTR_IGNORE_EVENTS_TABLE', 'bool', ['backup'], 'Leave out the events table', 8),
  f('ignore-scan-data', 'DTR_IGNORE_SCAN_DATA', 'bool', ['backup'], 'Leave out scanned images and layers', 10),

  f('dtr-external-url', 'DTR_EXTERNAL_URL', 'string', SETTING, 'URL of the host or load balancer clients use to reach DTR'),
  f('dtr-ca', 'DTR_CA', 'string', SETTING, 'Use a PEM-encoded TLS CA certificate for DTR'),
  f('dtr-cert', 'DTR_CERT', 'string', SETTING, 'Use a PEM-encoded TLS certificate for DTR'),
  f('dtr-key', 'DTR_KEY', 'string', SETTING, 'Use a PEM-encoded TLS private key for DTR'),
  f('dtr-storage-volume', 'DTR_STORAGE_VOLUME', 'string', SETTING, 'Full path or volume name to store Docker images'),
  f('dtr-use-default-storage', 'DTR_DEFAULT_STORAGE', 'bool', ['restore'], 'Use the default storage backend', 6),
  f('nfs-storage-url', 'NFS_STORAGE_URL', 'string', SETTING, 'Use NFS to store Docker images, nfs://<ip|hostname>/<mountpoint>'),
  f('nfs-options', 'NFS_OPTIONS', 'string', ['install', 'reconfigure'], 'Pass in NFS volume options verbatim', 6),
  f('nfs-options', 'NFS_OPTIONS', 'string', ['restore'], 'Pass in NFS volume options verbatim', 8),
  f('async-nfs', 'ASYNC_NFS', 'bool', ['install', 'reconfigure'], 'Use async NFS volume options', 6),
  f('async-nfs', 'ASYNC_NFS', 'bool', ['restore'], 'Use async NFS volume options', 8),
  f('storage-migrated', 'STORAGE_MIGRATED', 'bool', ['reconfigure'], 'The storage data has been migrated: do not erase tags', 6),
  f('client-cert-auth-ca', 'CLIENT_CA', 'string', SETTING, 'PEM-encoded TLS root CA certificates for client certificate authentication', 8),
  f('enable-client-cert-auth', 'ENABLE_CLIENT_CERT_AUTH', 'bool', SETTING, 'Enable TLS client certificate authentication', 7),
  f('custom-ca-cert-bundle', 'CUSTOM_CA_CERTS_BUNDLE', 'string', SETTING, 'A bundle of CA certificates to trust', 8),
  f('http-proxy', 'DTR_HTTP_PROXY', 'string', SETTING, 'The HTTP proxy used for outgoing requests'),
  f('https-proxy', 'DTR_HTTPS_PROXY', 'string', SETTING, 'The HTTPS proxy used for outgoing requests'),
  f('no-proxy', 'DTR_NO_PROXY', 'string', SETTING, 'List of domains the proxy should not be used for'),
  f('log-protocol', 'LOG_PROTOCOL', 'string', SETTING, 'The protocol for sending logs: internal, tcp, or udp'),
  f('log-host', 'LOG_HOST', 'string', SETTING, 'Where to send logs to'),
  f('log-level', 'LOG_LEVEL', 'string', SETTING, 'Log level for all container logs'),
  f('enable-pprof', 'DTR_PPROF', 'bool', SETTING, 'Enables pprof profiling of the server'),
  f('overlay-subnet', 'DTR_OVERLAY_SUBNET', 'string', ['install', 'emergency-repair'], 'The subnet used by the dtr-ol overlay network'),

  f('replica-http-port', 'REPLICA_HTTP_PORT', 'string', [...SETTING, 'join'], 'The public HTTP port for the DTR replica. Default is 80'),
  f('replica-https-port', 'REPLICA_HTTPS_PORT', 'string', [...SETTING, 'join'], 'The public HTTPS port for the DTR replica. Default is 443'),
  f('replica-rethinkdb-cache-mb', 'RETHINKDB_CACHE_MB', 'string', [...SETTING, 'join'], 'The maximum amount of space in MB for RethinkDB in-memory cache'),

  f('skip-network-test', 'DTR_SKIP_NETWORK_TEST', 'bool', ['join'], "Don't test if overlay networks are working correctly between UCP nodes"),
  f('unsafe-join', 'DTR_UNSAFE_JOIN', 'bool', ['join'], 'Join a new replica even if the cluster is unhealthy'),
  f('prune', 'PRUNE', 'bool', ['emergency-repair'], 'Delete the data volumes of all unhealthy replicas', 5),
  f('yes', 'YES', 'bool', ['emergency-repair'], 'Answer yes to any prompts', 5, 'y'),
];

/** Flags of a command that were given, by name; a bool is `'true'`. An empty string is a value of its own (it turns NFS off). */
export type Flags = Record<string, string>;

/** The command line was not understood; the message is what the tool prints. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function flagsOf(command: Command, version: string): Flag[] {
  return FLAGS.filter((flag) => flag.commands.includes(command) && minorOf(version) >= flag.since);
}

export function commandsOf(version: string): Command[] {
  return COMMANDS.filter((command) => command !== 'emergency-repair' || minorOf(version) >= 5);
}

/** Reads flags (`--name value`, `--name=value`, one or two dashes) and, for those not given, their environment variables. Throws UsageError. */
export function parseFlags(command: Command, version: string, args: string[], env: NodeJS.ProcessEnv): Flags {
  const known = flagsOf(command, version);
  const values: Flags = {};
  const rest = [...args];
  while (rest.length > 0) {
    const arg = rest.shift()!;
    const match = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(arg);
    if (!match) throw new UsageError(`unexpected argument: ${arg}`);
    const flag = known.find((candidate) => candidate.name === match[1] || candidate.alias === match[1]);
    if (!flag) throw new UsageError(`flag provided but not defined: -${match[1]}`);
    if (flag.kind === 'bool') {
      values[flag.name] = boolOf(flag.name, match[2] ?? 'true');
    } else {
      const value = match[2] ?? rest.shift();
      if (value === undefined) throw new UsageError(`flag needs an argument: -${match[1]}`);
      values[flag.name] = value;
    }
  }
  for (const flag of known) {
    const value = env[flag.env];
    if (values[flag.name] !== undefined || value === undefined || value === '') continue;
    values[flag.name] = flag.kind === 'bool' ? boolOf(flag.name, value) : value;
  }
  // A flag that is off is as good as absent.
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => !(value === 'false' && known.find((flag) => flag.name === name)?.kind === 'bool')));
}

function boolOf(name: string, value: string): string {
  if (/^(1|t|true|yes)$/i.test(value)) return 'true';
  if (/^(0|f|false|no)$/i.test(value)) return 'false';
  throw new UsageError(`invalid boolean value "${value}" for -${name}`);
}

export function usage(command: Command, version: string): string {
  const lines = flagsOf(command, version).map((flag) => `   --${flag.name}${flag.kind === 'string' ? ' value' : ''}\t${flag.help} [$${flag.env}]`);
  return `Usage: docker run -it --rm dtr ${command} [command options]\n\nOPTIONS:\n${lines.join('\n')}\n`;
}
