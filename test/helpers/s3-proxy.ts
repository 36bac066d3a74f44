/** Stands in front of a real S3 server and makes it show what it cannot be brought to by itself. */
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface S3Proxy {
  url: string;
  /** `PUT /bucket/key?query` of each call, in order. */
  calls: string[];
  stop(): Promise<void>;
}

export interface Fault {
  /** Headers that never reach the server; none of them is signed by the SDK unless it is one of `x-amz-*`. */
  strip?: string[];
  /** True when it has answered by itself. */
  answer?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** The server's answer does not come back: the connection is cut after the server has done its work. */
  loseAnswer?: (request: IncomingMessage) => boolean;
}

/** The Host header goes on as it came, since it is signed: clients name the proxy, and the server does not mind. */
export async function startS3Proxy(port: number, fault: Fault): Promise<S3Proxy> {
  const calls: string[] = [];
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    calls.push(`${incoming.method} ${incoming.url}`);
    if (fault.answer?.(incoming, outgoing)) return void incoming.resume();
    const headers = { ...incoming.headers };
    for (const name of fault.strip ?? []) delete headers[name];
    const onward = request({ host: '127.0.0.1', port, agent, method: incoming.method, path: incoming.url, headers }, (answer) => {
      if (fault.loseAnswer?.(incoming)) {
        answer.resume().on('end', () => outgoing.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
      outgoing.on('close', () => answer.destroy());
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls,
    stop: () => new Promise((resolve) => {
      agent.destroy();
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

/** An error in the words of S3. */
export function s3Fault(response: ServerResponse, status: number, code: string): true {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>made up by a test</Message></Error>`);
  return true;
}
