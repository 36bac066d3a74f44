/** A Temporal development server with a database file, which a test may kill and start again under the same address. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startDevServer, type DevServer, type DevServerOptions } from '../../client/dev-server';
import { temporalCli } from './temporal';
import { freePort } from './free-port';

export class DatabaseServer {
  private constructor(
    private readonly options: DevServerOptions,
    private server: DevServer,
  ) {}

  static async start(): Promise<DatabaseServer> {
    const stateDir = await mkdtemp(path.join(tmpdir(), 'drydock-temporal-'));
    const options = { program: temporalCli(), stateDir, namespace: 'default', ip: '127.0.0.1', port: await freePort(), uiPort: await freePort() };
    return new DatabaseServer(options, await startDevServer(options));
  }

  get address(): string {
    return this.server.address;
  }

  /** Power off: nothing is said goodbye to. */
  async kill(): Promise<void> {
    process.kill(this.server.pid, 'SIGKILL');
    await this.server.ended;
  }

  async startAgain(): Promise<void> {
    this.server = await startDevServer(this.options);
  }

  async remove(): Promise<void> {
    await this.server.stop();
    await rm(this.options.stateDir, { recursive: true, force: true });
  }
}
