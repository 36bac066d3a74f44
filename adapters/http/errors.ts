import { DrydockError, type ErrorKind } from '../../domain/errors';
import { ProxyError } from './proxy';

/** Who is called, for the messages that people read. */
export interface Service {
  /** `DTR`, `UCP`, `the registry` */
  name: string;
  /** What it means when nobody answers. */
  unavailable: ErrorKind;
  /** Where its CA file is set, `dtr.caFile`. */
  caSetting: string;
  /** What to do when the login is refused. */
  authRemedy: string;
}

const CERTIFICATE_CODES = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_SIGNATURE_FAILURE', 'CERT_UNTRUSTED', 'CERT_REJECTED', 'INVALID_CA', 'CERT_CHAIN_TOO_LONG', 'INVALID_PURPOSE',
]);
const CERTIFICATE_DATES = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);
/** TLS alerts by which a server says that it does not want our client certificate. */
const CLIENT_CERTIFICATE_ALERT = /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(REQUIRED|UNKNOWN|EXPIRED|REVOKED)|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)/;

/** A readable error for a connection that failed. `where` is `host:port`. DrydockErrors pass through. */
export function classifyNetworkError(error: unknown, service: Service, where: string): DrydockError {
  if (error instanceof DrydockError) return error;
  const { code, message } = rootOf(error);
  if (error instanceof ProxyError) {
    const remedy = error.status === 407 ? 'put the proxy\'s user and password into HTTPS_PROXY, with each % in them written as %25' : 'check HTTPS_PROXY, or name the host in NO_PROXY';
    return new DrydockError(error.status === 407 ? 'AuthRejected' : service.unavailable, `${service.name} at ${where}: ${error.message}`, { remedy, cause: error });
  }
  if (CERTIFICATE_CODES.has(code)) {
    return new DrydockError('TlsRejected', `the certificate of ${service.name} at ${where} is not signed by an authority that we trust (${code})`, {
      remedy: `set ${service.caSetting} to the PEM file of the authority that signed it`, cause: error,
    });
  }
  if (CERTIFICATE_DATES.has(code)) {
    return new DrydockError('TlsRejected', `the certificate of ${service.name} at ${where} is ${code === 'CERT_HAS_EXPIRED' ? 'expired' : 'not valid yet'}`, {
      remedy: 'renew it, or put the clock of this machine right', cause: error,
    });
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new DrydockError('TlsRejected', `the certificate of ${service.name} at ${where} is for another name`, {
      remedy: 'use a name that stands in the certificate', cause: error,
    });
  }
  if (CLIENT_CERTIFICATE_ALERT.test(code)) {
    return new DrydockError('AuthRejected', `${service.name} at ${where} does not accept our client certificate (${code})`, { remedy: service.authRemedy, cause: error });
  }
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') {
    return new DrydockError('TlsRejected', `no TLS connection to ${service.name} at ${where} (${code})`, {
      remedy: 'check that the port speaks HTTPS and at least TLS 1.2', cause: error,
    });
  }
  return new DrydockError(service.unavailable, `${service.name} at ${where} cannot be reached (${code === '' ? message : code})`, {
    remedy: `check that ${service.name} is up and that this machine may reach ${where}`, cause: error,
  });
}

/** A readable error for an HTTP status that the caller did not expect. `path` names the call, without query. */
export function classifyStatus(status: number, said: { code?: string; message: string }, service: Service, call: string): DrydockError {
  const details = { status, ...(said.code === undefined ? {} : { code: said.code }) };
  const message = `${service.name} answered ${status} to ${call}${said.message === '' ? '' : `: ${said.message}`}`;
  switch (status) {
    case 400:
    case 422:
      return new DrydockError('InvalidInput', message, { details });
    case 401:
      return new DrydockError('AuthRejected', `${service.name} does not accept the login (${call})`, { details, remedy: service.authRemedy });
    case 403:
      return new DrydockError('NotPermitted', message, { details, remedy: 'use the account of an administrator' });
    case 404:
    case 410:
      return new DrydockError('NotFound', message, { details });
    case 409:
      return new DrydockError('Conflict', message, { details });
    case 429:
      return new DrydockError('Busy', message, { details });
    case 507:
      return new DrydockError('NoSpace', message, { details });
    default:
      if (status >= 500) return new DrydockError(service.unavailable, message, { details, remedy: `look at the health and the logs of ${service.name}` });
      return new DrydockError('Refused', message, { details, remedy: `check that the address is that of ${service.name}` });
  }
}

/** Code and message of the innermost cause that has a code. */
function rootOf(error: unknown): { code: string; message: string } {
  let found = { code: '', message: error instanceof Error ? error.message : String(error) };
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth++) {
    const code = (current as NodeJS.ErrnoException).code;
    if (typeof code === 'string') found = { code, message: current.message };
    current = current instanceof AggregateError ? current.errors[0] : current.cause;
  }
  return found;
}
