/** By what a server is told the digest of what it gets: our own SHA-256, or what it takes instead. The signature covers the body in any case. */
import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';

/** In the order in which they are tried. */
export const CHECKSUM_WAYS = ['sha256', 'md5', 'none'] as const;
export type ChecksumWay = (typeof CHECKSUM_WAYS)[number];

export const CHECKSUM_HEADER = 'x-amz-checksum-sha256';
/** Headers of newer S3 that older servers refuse. */
const NEWER = /^x-amz-(checksum-|sdk-checksum-algorithm$)/;

interface Request {
  headers: Record<string, string>;
  body?: unknown;
}

/** Takes the newer headers away where the server refuses them, and puts Content-MD5 in their place if it takes that. Before the request is signed. */
export function translateChecksums(client: S3Client, way: () => ChecksumWay): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as Request;
      if (way() !== 'sha256') withoutNewer(request, way() === 'md5');
      return next(args);
    },
    { step: 'build', priority: 'low', name: 'checksums' },
  );
}

function withoutNewer(request: Request, withMd5: boolean): void {
  const newer = Object.keys(request.headers).filter((name) => NEWER.test(name.toLowerCase()));
  for (const name of newer) delete request.headers[name];
  const { body } = request;
  if (!withMd5 || newer.length === 0 || !(typeof body === 'string' || body instanceof Uint8Array)) return;
  request.headers['content-md5'] = createHash('md5').update(body).digest('base64');
}
