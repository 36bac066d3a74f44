import { webcrypto } from 'node:crypto';
import type { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3';

export interface Digest {
  base64: string;
  hex: string;
}

/** SHA-256, computed beside the main thread. */
export async function digestOf(data: Buffer): Promise<Digest> {
  const digest = Buffer.from(await webcrypto.subtle.digest('SHA-256', data as Buffer<ArrayBuffer>));
  return { base64: digest.toString('base64'), hex: digest.toString('hex') };
}

/** Signs the body, once for each command, by the digest that is known already; the SDK would hash it once more, or over HTTPS not sign it at all. */
export function signedBody<C extends PutObjectCommand | UploadPartCommand>(command: C, digest: Digest): C {
  (command as PutObjectCommand).middlewareStack.add(
    (next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = digest.hex;
      return next(args);
    },
    { step: 'build', name: 'bodyDigest' },
  );
  return command;
}
