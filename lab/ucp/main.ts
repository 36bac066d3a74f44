/** UCP of the lab: started on the manager's host, configured by the files in /etc/lab/ucp. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AccountStore, type Seed } from './accounts';
import { AccountsApi } from './accounts-api';
import { ClusterFace } from './cluster-face';
import { DockerApi } from './docker-api';
import { Engines } from './engines';
import { createServer } from './server';
import { Sessions } from './sessions';

const CONFIG = '/etc/lab/ucp';
const DATA = '/var/lib/ucp';
const PORT = 443;

/** UCP's instance id looks like an engine's: twelve groups of four. */
function instanceId(): string {
  const file = path.join(DATA, 'instance-id');
  if (!existsSync(file)) {
    mkdirSync(DATA, { recursive: true, mode: 0o700 });
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
    const id = [...randomBytes(48)].map((byte) => letters[byte % 32]).join('');
    writeFileSync(file, id.replace(/(.{4})(?=.)/g, '$1:'), { mode: 0o600 });
  }
  return readFileSync(file, 'utf8');
}

const file = (name: string): string => path.join(CONFIG, name);
const { address } = JSON.parse(readFileSync(file('config.json'), 'utf8')) as { address: string };
const accounts = new AccountStore(path.join(DATA, 'accounts.json'), () => JSON.parse(readFileSync(file('accounts.json'), 'utf8')) as Seed);
const sessions = new Sessions(accounts);
const engines = new Engines(address, { ca: file('engine-ca.pem'), cert: file('engine-cert.pem'), key: file('engine-key.pem') });
const id = instanceId();
const server = createServer({
  files: { ca: file('ca.pem'), cert: file('server-cert.pem'), key: file('server-key.pem') },
  sessions,
  accountsApi: new AccountsApi(accounts, sessions, { caCert: file('ca.pem'), caKey: file('ca.key'), endpoint: `${address}:${PORT}`, instanceId: id }),
  dockerApi: new DockerApi(engines, new ClusterFace(engines, id)),
});
server.listen(PORT, '0.0.0.0');
