/** Whether two names of a file server mean the same one: people write a name where the kernel shows a number. */
import { isIP } from 'node:net';
import type { Host } from '../../adapters/host/host';
import type { VolumeSpec } from './volume';

/** What a mount comes from: `host:/path`, `[v6]:/path`, `//host/share`, or a path alone. */
export interface Source {
  server: string;
  path: string;
}

export function parseSource(text: string): Source {
  const share = /^\/\/([^/]+)(\/.*)?$/.exec(text);
  if (share) return { server: share[1]!, path: trimmed(share[2] ?? '/') };
  const [, bracketed, plain, path] = /^(?:\[([^\]]+)\]|([^/[\]]*)):(\/.*)$/.exec(text) ?? [];
  return path === undefined ? { server: '', path: trimmed(text) } : { server: bracketed ?? plain ?? '', path: trimmed(path) };
}

/** The `addr=` among a mount's options. */
export function addressOf(options: string | undefined): string | undefined {
  return /(?:^|,)addr=([^,]+)/.exec(options ?? '')?.[1];
}

/** As the host itself resolves both. Where neither has a number in common with the other, they are two. */
export async function isSameServer(host: Host, one: string, other: string): Promise<boolean> {
  if (plain(one) === plain(other)) return true;
  const [ones, others] = await Promise.all([numbersOf(host, one), numbersOf(host, other)]);
  return ones.some((number) => others.includes(number));
}

/** The volume with the other one's word for its server, where both mean the same one. */
export async function inWordsOf(host: Host, found: VolumeSpec, wanted: VolumeSpec): Promise<VolumeSpec> {
  const options = { ...found.options };
  const [address, otherAddress] = [addressOf(options.o), addressOf(wanted.options.o)];
  if (address !== undefined && otherAddress !== undefined && address !== otherAddress && (await isSameServer(host, address, otherAddress))) {
    options.o = options.o!.replace(`addr=${address}`, () => `addr=${otherAddress}`);
  }
  const { device } = options;
  const other = wanted.options.device;
  if (device !== undefined && other !== undefined && device !== other && (await isSameSource(host, device, other))) options.device = other;
  return { ...found, options };
}

/** The same path of the same server; one side may leave its server out. */
export async function isSameSource(host: Host, one: string, other: string): Promise<boolean> {
  const [a, b] = [parseSource(one), parseSource(other)];
  if (a.path !== b.path) return false;
  return a.server === '' || b.server === '' || isSameServer(host, a.server, b.server);
}

async function numbersOf(host: Host, server: string): Promise<string[]> {
  if (isIP(plain(server)) > 0) return [plain(server)];
  // Without getent (busybox) a name is itself alone.
  const { stdout } = await host.exec(['getent', 'ahosts', server], { root: false, okCodes: [0, 1, 2, 127] });
  return stdout.split('\n').map((line) => plain(line.split(/\s+/)[0]!)).filter((number) => isIP(number) > 0);
}

/** Lower case; a number of IPv6 in its shortest form, without a zone. */
function plain(server: string): string {
  const bare = server.toLowerCase().replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/, '');
  return isIP(bare) === 6 ? new URL(`http://[${bare}]`).hostname.slice(1, -1) : bare;
}

function trimmed(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}
