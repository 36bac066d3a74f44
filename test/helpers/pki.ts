import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface KeyPair {
  cert: string;
  key: string;
}

/** A certificate authority made with openssl, that issues certificates for tests. */
export class TestCa {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'drydock-pki-'));
  readonly caFile = path.join(this.dir, 'ca.pem');
  private serial = 0;

  constructor(name = 'Test CA') {
    this.openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', 'ca.key', '-out', 'ca.pem');
  }

  get cert(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  /** `names`: DNS names and addresses, as `DNS:a.test` or `IP:127.0.0.1`. `days` may be negative: expired. */
  issue(names: string[], options: { days?: number; subject?: string } = {}): KeyPair {
    const base = `leaf${++this.serial}`;
    writeFileSync(path.join(this.dir, `${base}.ext`), `basicConstraints=CA:FALSE\n${names.length > 0 ? `subjectAltName=${names.join(',')}\n` : ''}`);
    this.openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', options.subject ?? '/CN=leaf', '-keyout', `${base}.key`, '-out', `${base}.csr`);
    this.openssl('x509', '-req', '-in', `${base}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', String(options.days ?? 2), '-extfile', `${base}.ext`, '-out', `${base}.pem`);
    return { cert: readFileSync(path.join(this.dir, `${base}.pem`), 'utf8'), key: readFileSync(path.join(this.dir, `${base}.key`), 'utf8') };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.dir, stdio: 'ignore' });
  }
}
