import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectEngine } from '../../adapters/docker/dockerode';
import { hijack } from '../../adapters/docker/hijack';
import { agentFor, rawTransport } from '../../adapters/docker/transport';
import { failure } from '../helpers/failure';

// A real engine cannot be made to take a request and say nothing.
describe('an engine that prepares a command and never starts it', function () {
  this.timeout(10_000);
  let engine: http.Server;
  let dir: string;
  let socketPath: string;
  const open = new Set<net.Socket>();
  const hungUp = async (): Promise<void> => {
    while (open.size > 0) await sleep(10);
  };

  before(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'drydock-hijack-'));
    socketPath = path.join(dir, 'docker.sock');
    engine = http.createServer((request, response) => {
      if (request.url?.endsWith('/exec') === true) response.writeHead(201, { 'Content-Type': 'application/json' }).end('{"Id":"abc"}');
    });
    engine.on('connection', (socket: net.Socket) => open.add(socket.on('error', () => undefined).once('close', () => open.delete(socket))));
    engine.on('upgrade', (_request, socket) => void socket.on('end', () => socket.destroy()).resume());
    await new Promise<void>((resolve) => engine.listen(socketPath, resolve));
  });
  after(() => {
    for (const socket of open) socket.destroy();
    engine.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('is given up after a while, with an error that may be tried again', async () => {
    const transport = rawTransport({ socketPath }, agentFor({ socketPath }));
    const error = await failure(hijack(transport, '/exec/abc/start', 'exec', { body: {}, answerMs: 100 }), 'EngineUnavailable');
    assert.equal(error.retryable, true);
    assert.match(error.message, /did not answer/);
    await hungUp();
  });

  it('is given up when the signal fires, with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('cancelled by a person');
    setTimeout(() => controller.abort(reason), 200);
    const client = connectEngine({ socketPath });
    await assert.rejects(client.exec('container', ['true'], controller.signal), (error) => error === reason);
    client.close();
    await hungUp();
  });
});
