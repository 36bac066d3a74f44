/** Stands in front of a real S3 server and makes it show what it cannot be brought to by itself. */
import { createHash, createHmac } from 'node:crypto';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';

export interface S3Proxy {
  url: string;
  /** `PUT /bucket/key?query` of each call, in order. */
  calls: string[];
  /** Answers that the client did not want to the end. */
  givenUp(): number;
  stop(): Promise<void>;
}

export interface Fault {
  /** Headers that never reach the server; what is left is signed anew with these keys. */
  strip?: string[];
  keys?: { access: string; secret: string };
  /** True when it has answered by itself. */
  answer?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** The server's answer does not come back: the connection is cut after the server has done its work. */
  loseAnswer?: (request: IncomingMessage) => boolean;
  /** Another answer than the server's, after the server has done its work. True when it has been given. */
  answerAfter?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Headers of the server's answer that do not come back; without content-length the body comes in chunks. */
  drop?: (request: IncomingMessage) => string[];
  /** A bit of the request's body is flipped on the way; its headers, and with them signature and digest, stay as they are. */
  flip?: (request: IncomingMessage) => boolean;
  /** The connection is cut after so many bytes of an answer's body. */
  cutAfter?: (request: IncomingMessage) => number | undefined;
  /** How long each call takes before it goes on to the server. */
  delayMs?: number;
}

/** The Host header goes on as it came, since it is signed: clients name the proxy, and the server does not mind. */
export async function startS3Proxy(port: number, fault: Fault): Promise<S3Proxy> {
  const calls: string[] = [];
  let givenUp = 0;
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    calls.push(`${incoming.method} ${incoming.url}`);
    if (fault.answer?.(incoming, outgoing)) return void incoming.resume();
    const headers = { ...incoming.headers };
    if (fault.strip?.some((name) => name in headers)) {
      for (const name of fault.strip) delete headers[name];
      if (fault.keys) signAnew(incoming, headers, fault.keys);
    }
    const onward = request({ host: '127.0.0.1', port, agent, method: incoming.method, path: incoming.url, headers }, (answer) => {
      if (fault.loseAnswer?.(incoming)) {
        answer.resume().on('end', () => outgoing.destroy());
        return;
      }
      if (fault.answerAfter?.(incoming, outgoing)) return void answer.resume();
      const back = { ...answer.headers };
      for (const name of fault.drop?.(incoming) ?? []) delete back[name];
      outgoing.writeHead(answer.statusCode ?? 500, back);
      const limit = fault.cutAfter?.(incoming);
      let passed = 0;
      if (limit !== undefined) answer.on('data', (chunk: Buffer) => (passed += chunk.length) > limit && outgoing.destroy());
      answer.pipe(outgoing);
      outgoing.on('close', () => {
        if (!outgoing.writableFinished) givenUp += 1;
        answer.destroy();
      });
    });
    onward.on('error', () => outgoing.destroy());
    const pass = (): void => {
      if (fault.flip?.(incoming)) incoming.pipe(flipping()).pipe(onward);
      else incoming.pipe(onward);
    };
    if (fault.delayMs === undefined) pass();
    else setTimeout(pass, fault.delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls,
    givenUp: () => givenUp,
    stop: () => new Promise((resolve) => {
      agent.destroy();
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function flipping(): Transform {
  let isDone = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const changed = Buffer.from(chunk);
      if (!isDone) changed[0]! ^= 1;
      isDone = true;
      done(null, changed);
    },
  });
}

/** An error in the words of S3. */
export function s3Fault(response: ServerResponse, status: number, code: string): true {
  response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>made up by a test</Message></Error>`);
  return true;
}

/** AWS signature version 4 over the headers that the client had signed and that are left. */
function signAnew({ method = '', url = '' }: IncomingMessage, headers: IncomingMessage['headers'], { access, secret }: { access: string; secret: string }): void {
  const [, day = '', region = '', signed = ''] = /Credential=[^/]+\/(\d+)\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+)/.exec(headers.authorization ?? '') ?? [];
  const names = signed.split(';').filter((name) => headers[name] !== undefined);
  const [path = '', query = ''] = url.split('?');
  const parts = query.split('&').filter(Boolean).map((part) => (part.includes('=') ? part : `${part}=`)).sort();
  const canonical = [method, path, parts.join('&'), ...names.map((name) => `${name}:${String(headers[name]).trim()}`), '', names.join(';'), String(headers['x-amz-content-sha256'])].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', String(headers['x-amz-date']), scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>((before, part) => createHmac('sha256', before).update(part).digest(), `AWS4${secret}`);
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${access}/${scope}, SignedHeaders=${names.join(';')}, Signature=${createHmac('sha256', key).update(text).digest('hex')}`;
}
