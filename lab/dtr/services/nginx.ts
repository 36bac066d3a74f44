import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { sleep } from '../common/http';
import { messageOf, serviceLog } from '../common/log';
import { address, type Context } from './context';

const CONFIG = '/etc/nginx/dtr.conf';
/** Kept in the replica's own volume: the front must come up, and say what is wrong, when the store has no majority. */
const KEPT = '/ca/nginx';

/** The real nginx in front of a replica, with the cluster's certificate; a changed certificate is taken up within seconds. */
export async function startNginx(context: Context): Promise<void> {
  await mkdir(KEPT, { recursive: true, mode: 0o700 });
  await writeFile(CONFIG, configuration(context.replicaId));
  while (!(await refresh(context)) && !(await hasCertificate())) await sleep(500);
  const nginx = spawn('nginx', ['-c', CONFIG, '-g', 'daemon off;'], { stdio: ['ignore', 'inherit', 'inherit'] });
  nginx.on('exit', (code) => process.exit(code ?? 1));
  process.on('SIGTERM', () => nginx.kill('SIGQUIT'));
  await watch(context, nginx);
}

async function watch(context: Context, nginx: ChildProcess): Promise<never> {
  for (;;) {
    await sleep(5000);
    if (await refresh(context)) {
      serviceLog('the certificate has changed');
      nginx.kill('SIGHUP');
    }
  }
}

async function hasCertificate(): Promise<boolean> {
  return readFile(`${KEPT}/key.pem`).then(
    (key) => key.length > 0,
    () => false,
  );
}

/** True when the certificate in the store differs from the one kept here, which is then replaced. */
async function refresh(context: Context): Promise<boolean> {
  try {
    const [cert, key, ca] = await Promise.all(['webTLSCert', 'webTLSKey', 'webTLSCA'].map((name) => context.store.property<string>(name)));
    if (!cert || !key) return false;
    const chain = `${cert.trimEnd()}\n${(ca ?? '').trimEnd()}\n`;
    const kept = await readFile(`${KEPT}/cert.pem`, 'utf8').catch(() => '');
    if (kept === chain) return false;
    await writeFile(`${KEPT}/key.pem`, key, { mode: 0o600 });
    await writeFile(`${KEPT}/cert.pem`, chain);
    return true;
  } catch (error) {
    serviceLog(`the certificate cannot be read: ${messageOf(error)}`);
    return false;
  }
}

function configuration(id: string): string {
  // A variable in proxy_pass makes nginx ask again: overlay addresses change when containers are started again.
  const location = (path: string, component: 'api' | 'garant' | 'registry'): string => `
    location ${path} {
      set $upstream ${address(component, id)};
      proxy_pass $upstream;
    }`;
  return `
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr error;
events { worker_connections 512; }
http {
  access_log off;
  server_tokens off;
  resolver 127.0.0.11 valid=2s ipv6=off;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_connect_timeout 5s;
  proxy_read_timeout 900s;
  proxy_send_timeout 900s;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_set_header X-Forwarded-Proto https;
  proxy_set_header X-Forwarded-For $remote_addr;
  server {
    listen 80;
    location = /_ping {
      set $upstream ${address('api', id)};
      proxy_pass $upstream;
    }
    location / { return 301 https://$host$request_uri; }
  }
  server {
    listen 443 ssl;
    ssl_certificate ${KEPT}/cert.pem;
    ssl_certificate_key ${KEPT}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    location = /nginx_status { stub_status; }
    location /internal/ { return 404; }${location('/v2/', 'registry')}${location('/auth/', 'garant')}${location('/', 'api')}
  }
}
`;
}
