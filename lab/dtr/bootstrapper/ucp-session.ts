import tls from 'node:tls';
import { fromBuffer } from 'yauzl';
import { Docker } from '../common/docker';
import { Fatal, messageOf, type Log } from '../common/log';
import { Ucp, type UcpAccess } from '../common/ucp';
import type { Flags } from './flags';
import { prompt } from './prompt';

/** A login to UCP as an administrator. */
export interface UcpSession {
  ucp: Ucp;
  docker: Docker;
  /** Address and a client certificate for the services of a replica, made on the first call. */
  serviceAccess(): Promise<UcpAccess>;
}

/** Checks the certificate, logs in and makes sure that the user is an administrator. Throws Fatal. */
export async function connectUcp(flags: Flags, log: Log, mayPrompt: boolean): Promise<UcpSession> {
  const url = ucpUrl(flags);
  const insecure = flags['ucp-insecure-tls'] === 'true';
  const ca = flags['ucp-ca'];
  const { username, password } = await credentials(flags, mayPrompt);
  if (!insecure) log.info('Validating UCP cert');
  const access: UcpAccess = { url, insecure, ...(ca ? { ca } : {}) };
  const ucp = new Ucp(access);
  log.info('Connecting to UCP');
  log.info('health checking ucp');
  const healthy = await ucp.ping().catch((error: unknown) => {
    throw new Fatal(`Failed to connect to UCP at ${url}: ${messageOf(error)}${isTlsError(error) ? '. Give the certificate authority of UCP with --ucp-ca' : ''}`);
  });
  if (!healthy) throw new Fatal(`UCP at ${url} is not healthy`);
  const token = await ucp.login(username, password);
  if (token === null) throw new Fatal(`Failed to authenticate with UCP as ${username}: Unauthorized: invalid username or password`);
  const session = ucp.as(token);
  const account = await session.account(username);
  if (account?.isAdmin !== true) throw new Fatal(`The UCP user ${username} is not an administrator: only a UCP administrator can run this command`);
  const { hostname, port } = new URL(url);
  const docker = new Docker({ host: hostname, port: Number(port || 443), insecure, token, ...(ca ? { ca } : {}) });
  let service: Promise<UcpAccess> | undefined;
  return { ucp: session, docker, serviceAccess: () => (service ??= clientCertificate(session, access)) };
}

function ucpUrl(flags: Flags): string {
  const given = flags['ucp-url'];
  if (!given) throw new Fatal('The UCP URL is missing: give --ucp-url');
  const url = URL.canParse(given) && given.includes('://') ? new URL(given) : URL.canParse(`https://${given}`) ? new URL(`https://${given}`) : null;
  if (url === null || url.protocol !== 'https:') throw new Fatal(`Invalid UCP URL ${given}: expected https://host[:port]`);
  return url.origin;
}

async function credentials(flags: Flags, mayPrompt: boolean): Promise<{ username: string; password: string }> {
  const ask = async (flag: string, what: string, secret: boolean): Promise<string> => {
    const given = flags[flag];
    if (given) return given;
    if (!mayPrompt) throw new Fatal(`The ${what} is missing: give --${flag}`);
    return prompt(flag, secret);
  };
  return { username: await ask('ucp-username', 'UCP username', false), password: await ask('ucp-password', 'UCP password', true) };
}

function isTlsError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(code);
}

/** A client bundle's key pair: what the replica's services show to UCP when they ask about users. */
async function clientCertificate(session: Ucp, access: UcpAccess): Promise<UcpAccess> {
  const files = await unzip(await session.clientBundle());
  const cert = files.get('cert.pem');
  const key = files.get('key.pem');
  if (!cert || !key) throw new Fatal('The client bundle of UCP holds no certificate');
  // Without --ucp-ca the services go by the authority in the bundle; the chain was checked (or waived) above.
  const ca = access.ca ?? files.get('ca.pem') ?? tls.rootCertificates.join('\n');
  return { url: access.url, insecure: access.insecure ?? false, ca, cert, key };
}

function unzip(archive: Buffer): Promise<Map<string, string>> {
  return new Promise((resolve, reject) => {
    fromBuffer(archive, { lazyEntries: true }, (error, zip) => {
      if (error) return reject(error);
      const files = new Map<string, string>();
      zip.on('error', reject);
      zip.on('end', () => resolve(files));
      zip.on('entry', (entry: { fileName: string }) => {
        if (!entry.fileName.endsWith('.pem')) return zip.readEntry();
        return zip.openReadStream(entry as Parameters<typeof zip.openReadStream>[0], (failure, stream) => {
          if (failure) return reject(failure);
          const chunks: Buffer[] = [];
          stream.on('data', (chunk: Buffer) => chunks.push(chunk));
          stream.on('end', () => {
            files.set(entry.fileName, Buffer.concat(chunks).toString());
            zip.readEntry();
          });
          return undefined;
        });
      });
      zip.readEntry();
      return undefined;
    });
  });
}
