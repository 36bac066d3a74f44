/** Requests that go to all engines at once: events, image loading and pulling. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import type { Engines } from './engines';
import { HttpError } from './http';

/** Events of all ready nodes in one stream, line by line. */
export async function mergedEvents(engines: Engines, path: string, response: ServerResponse): Promise<void> {
  const ready = await engines.ready();
  const streams = await Promise.all(ready.map((engine) => engines.request(engine, { method: 'GET', path })));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  let open = streams.length;
  for (const stream of streams) {
    let partial = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (partial + chunk).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) if (line !== '') response.write(`${line}\n`);
    });
    stream.on('error', () => undefined);
    stream.on('close', () => {
      open -= 1;
      if (open === 0) response.end();
    });
  }
  response.on('close', () => streams.forEach((stream) => stream.destroy()));
}

/** `docker load` and `docker pull` through UCP act on every node; the first failure is the answer. */
export async function broadcastImages(engines: Engines, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const ready = await engines.ready();
  const inputs = ready.map(() => new PassThrough());
  const type = request.headers['content-type'];
  const headers = { ...(type === undefined ? {} : { 'content-type': type }), ...(request.headers['x-registry-auth'] === undefined ? {} : { 'x-registry-auth': request.headers['x-registry-auth'] }) };
  const answers = Promise.all(
    ready.map(async (engine, index) => {
      const answer = await engines.request(engine, { method: 'POST', path: request.url ?? '/images/load', headers, body: inputs[index] });
      const chunks: Buffer[] = [];
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
      return { status: answer.statusCode ?? 500, body: Buffer.concat(chunks) };
    }),
  );
  const sent = distribute(request, inputs);
  const [all] = await Promise.all([answers, sent]);
  const worst = all.find(({ status }) => status >= 400) ?? all.find(({ body }) => body.includes('"errorDetail"')) ?? all[0];
  if (worst === undefined) throw new HttpError(500, 'no node is ready');
  response.writeHead(worst.status, { 'content-type': 'application/json' });
  response.end(worst.body);
}

async function distribute(request: IncomingMessage, inputs: PassThrough[]): Promise<void> {
  for await (const chunk of request as AsyncIterable<Buffer>) {
    // The slowest engine sets the pace.
    const full = inputs.filter((input) => !input.destroyed && !input.write(chunk));
    await Promise.all(full.map((input) => once(input, 'drain')));
  }
  inputs.forEach((input) => input.end());
}
