import { DrydockError, noVault, type ErrorKind } from '../../domain/errors';
import { classifyNetworkError, type Service } from '../http/errors';

const KEYS_REMEDY = 'check accessKeyId and secretAccessKey under vaults.*.s3 and what they name';
const SERVICE: Service = { name: 'the bucket\'s server', unavailable: 'VaultUnavailable', caSetting: 'vaults.*.s3.caFile', authRemedy: KEYS_REMEDY };

const NO_S3_REMEDY = 'check vaults.*.s3.endpoint (http or https, port), and look at what stands between it and the worker: a proxy, a load balancer, a log-in page';

const WRONG_KEYS = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'ExpiredToken', 'TokenRefreshRequired', 'UnrecognizedClientException', 'XAdminUserNotFound'];
const NO_ROOM = ['QuotaExceeded', 'NoSpaceLeftOnDevice', 'InsufficientStorage', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded', 'StorageFull', 'InsufficientCapacity'];
const SLOW_DOWN = ['SlowDown', 'SlowDownRead', 'SlowDownWrite', 'ThrottlingException', 'RequestLimitExceeded', 'TooManyRequests', 'ServiceUnavailable', 'OperationAborted'];
const LOST = ['InvalidPart', 'InvalidPartOrder', 'NoSuchUpload'];
const WRONG_REGION = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException', 'Redirect', 'TemporaryRedirect'];

/** HTTP status of an answer; undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

/** Whether the server answered with one of these codes. */
export function isAnswer(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && codes.includes(codeOf(error));
}

/** Whether something refuses HEAD as such. */
export function isNoHead(error: unknown): boolean {
  return statusOf(error) === 405 || statusOf(error) === 501;
}

/** For an answer that no S3 server gives: a log-in page, a proxy's own page, nothing at all. `what`: its content type, or in words. */
export function notS3(vault: string, doing: string, what = 'no content type'): DrydockError {
  return new DrydockError('VaultUnavailable', `cannot ${doing} in ${vault}: what answers is no S3 server (${what})`, { remedy: NO_S3_REMEDY });
}

/** Makes an error of a call to the bucket readable. `doing` is a verb phrase: `write lab/segments/x.tar.gpg`. */
export function s3Error(error: unknown, vault: string, bucket: string, doing: string): DrydockError {
  if (error instanceof DrydockError) return error;
  const inner = causeOf(error);
  if (inner) return inner;
  const code = error instanceof Error ? codeOf(error) : '';
  const status = statusOf(error);
  const details = { ...(code === '' ? {} : { code }), ...(status === undefined ? {} : { status }) };
  const say = (kind: ErrorKind, what: string, remedy: string): DrydockError => new DrydockError(kind, `cannot ${doing} in ${vault}: ${what}`, { remedy, cause: error, details });
  if (code === 'NoSuchBucket') return noVault(`cannot ${doing} in ${vault}: there is no bucket ${bucket}`, { remedy: 'create it, or correct vaults.*.s3.bucket in drydock.yaml', cause: error, details });
  if (code === 'CredentialsProviderError') return say('AuthRejected', 'no keys were found', 'set accessKeyId and secretAccessKey under vaults.*.s3, or give the worker a profile or role');
  if (WRONG_KEYS.includes(code)) return say('AuthRejected', `the server does not accept the keys (${code})`, KEYS_REMEDY);
  if (code === 'RequestTimeTooSkewed' || code === 'RequestExpired') return say('Refused', 'the clocks of this worker and of the server differ too much', 'set both clocks right (NTP)');
  if (NO_ROOM.includes(code) || status === 507) {
    return say('NoSpace', /quota/i.test(code) ? 'the quota is used up' : `it takes no more (${code})`, 'make room in the bucket or raise its quota; the older backups in it are whole');
  }
  if (SLOW_DOWN.includes(code) || status === 429 || (status === 503 && code !== 'InternalError')) return say('Busy', `the server asks us to slow down (${code === 'Error' ? status : code})`, 'wait, or lower policy.streams');
  if (status === 413 || code === 'EntityTooLarge') {
    return say('Refused', 'the server, or a proxy before it, takes no body of this size (413)', 'raise its limit: in nginx client_max_body_size, to 64m or more; parts have 8 MiB, or 5 MiB where a check found out that only those pass');
  }
  if (LOST.includes(code)) return say('VaultUnavailable', `the server has lost a part of an upload (${code})`, 'it is written again; if this goes on, look at the server\'s rules for unfinished uploads');
  if (WRONG_REGION.includes(code) || (status !== undefined && status > 300 && status < 400 && status !== 304)) return say('InvalidInput', `the bucket is in another region or at another address (${code})`, 'correct vaults.*.s3.region and endpoint');
  if (/region is missing/i.test(messageOf(error))) return say('InvalidInput', 'no region is known', 'set vaults.*.s3.region');
  if (code === 'InvalidObjectState') return say('Refused', 'the object is in an archive tier', 'bring it back from there first; a vault needs a storage class that is read at once');
  if (code === 'NotImplemented' || status === 501) return say('Refused', 'the server cannot do this', 'use a server that knows multipart uploads, ranges and checksums of S3');
  if (code === 'TimeoutError' && status === undefined) return say('Stalled', 'nothing moved on the connection', 'check the network between the worker and the server');
  if (status === 404 || code === 'NoSuchKey' || code === 'NoSuchVersion') return say('NotFound', 'it is not there', 'look with `drydock list` what the vault holds');
  if (status === 401) return say('AuthRejected', 'the server does not accept the keys', KEYS_REMEDY);
  if (status === 403) return say('NotPermitted', `permission denied (${code === '' || code === 'Unknown' ? '403' : code})`, 'allow the keys s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload there');
  if (status !== undefined && isForeign(error)) return say('VaultUnavailable', `what answers is no S3 server: ${status}${excerpt(error)}`, NO_S3_REMEDY);
  if (status === undefined) return classifyNetworkError(error, SERVICE, vault);
  if (status >= 500) return say('VaultUnavailable', `the server answered ${status}${said(error, code)}`, 'look at the health and the logs of the server');
  return say('Refused', `the server answered ${status}${said(error, code)}`, 'check that the address is that of an S3 server');
}

/** The SDK could make nothing of the body. */
function isForeign(error: unknown): boolean {
  return /XML parse error|Deserialization error/i.test(messageOf(error));
}

function excerpt(error: unknown): string {
  const { $responseBodyText: body } = error as { $responseBodyText?: unknown };
  const text = typeof body === 'string' ? body.replace(/<[^>]*>/g, ' ').replace(/[^\x20-\x7e]+/g, ' ').replace(/ +/g, ' ').trim().slice(0, 100) : '';
  return text === '' ? '' : ` "${text}"`;
}

function said(error: unknown, code: string): string {
  return ` (${[code, messageOf(error)].filter((text) => text !== '' && text !== 'UnknownError').join(': ').slice(0, 200)})`;
}

function codeOf(error: Error): string {
  return (error as { Code?: string }).Code ?? error.name;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error of ours that the SDK has wrapped. */
function causeOf(error: unknown): DrydockError | null {
  for (let current: unknown = error, depth = 0; current instanceof Error && depth < 5; depth += 1) {
    if (current instanceof DrydockError) return current;
    current = current.cause;
  }
  return null;
}
