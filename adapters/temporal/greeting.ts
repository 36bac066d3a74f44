/** The first bytes of a connection: what speaks at the other end? */
import type { Socket } from 'node:net';

export interface Greeting {
  /** `http2`: what a gRPC server speaks. `other`: bytes that we do not know. */
  speaks: 'http2' | 'http1' | 'tls' | 'other' | 'nothing';
  /** First line of an HTTP/1 answer. */
  line?: string;
  /** How the other side ended the connection without an answer. */
  hungUp?: NodeJS.ErrnoException;
}

/** A client's opening: the preface and an empty SETTINGS frame (RFC 9113, 3.4). */
const OPENING = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);
const FRAME_HEAD = 9;
const SETTINGS = 4;
const TLS_ALERT = 0x15;
const HUNG_UP = Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' });

/** Says hello as an HTTP/2 client and looks at what comes back within `ms`. Ends the connection. */
export function greet(socket: Socket, ms: number): Promise<Greeting> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    let error: NodeJS.ErrnoException | undefined;
    const finish = (greeting: Greeting): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(greeting);
    };
    const timer = setTimeout(() => finish(received.length > 0 ? judge(received) : { speaks: 'nothing' }), ms);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= FRAME_HEAD && !isHttp1WithoutLine(received)) finish(judge(received));
    });
    socket.on('error', (reason) => (error = reason));
    socket.once('close', () => finish(received.length > 0 ? judge(received) : { speaks: 'nothing', hungUp: error ?? HUNG_UP }));
    socket.write(OPENING);
  });
}

function judge(bytes: Buffer): Greeting {
  if (isHttp1(bytes)) return { speaks: 'http1', line: bytes.toString('latin1').split('\r\n', 1)[0]?.slice(0, 100) };
  if (bytes[0] === TLS_ALERT && bytes[1] === 3) return { speaks: 'tls' };
  return { speaks: bytes.length >= FRAME_HEAD && bytes[3] === SETTINGS ? 'http2' : 'other' };
}

function isHttp1(bytes: Buffer): boolean {
  return bytes.subarray(0, 7).toString('latin1') === 'HTTP/1.';
}

function isHttp1WithoutLine(bytes: Buffer): boolean {
  return isHttp1(bytes) && !bytes.includes('\r\n');
}
