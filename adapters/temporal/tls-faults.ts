/** What is wrong with TLS between us and a Temporal server, in one sentence with the setting that mends it. */
import type { TLSSocket } from 'node:tls';
import { DrydockError } from '../../domain/errors';
import type { Place, TemporalTls } from './door';

const OWN_CERTIFICATE = 'check TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH';

/** The fault of the certificate that the server has shown; undefined when it is good. */
export function certificateFault(socket: TLSSocket, { host, where }: Place, { serverNameOverride, serverRootCACertificate }: TemporalTls): DrydockError | undefined {
  if (socket.authorized) return undefined;
  // Node gives the code here, whatever the types say.
  const reason = socket.authorizationError as unknown;
  const code = typeof reason === 'string' ? reason : ((reason as NodeJS.ErrnoException | undefined)?.code ?? 'unknown');
  const certificate = socket.getPeerX509Certificate();
  const subject = `the certificate of Temporal at ${where}`;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const when = code === 'CERT_HAS_EXPIRED' ? `has expired on ${certificate?.validTo ?? 'an earlier day'}` : `is not valid before ${certificate?.validFrom ?? 'a later day'}`;
    return rejected(`${subject} ${when}`, 'renew it, or put the clock of this machine right');
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return rejected(`${subject} is for ${certificate?.subjectAltName ?? certificate?.subject ?? 'another name'}, not for ${serverNameOverride ?? host}`, 'use a name of the certificate in temporal.address or TEMPORAL_ADDRESS, or give one by TEMPORAL_TLS_SERVER_NAME');
  }
  const issuer = certificate === undefined ? '' : `, issued by ${certificate.issuer.replaceAll('\n', ', ')}`;
  return rejected(`${subject} is not signed by an authority that we trust (${code}${issuer})`, serverRootCACertificate === undefined ? 'name the authority\'s PEM file by TEMPORAL_TLS_SERVER_CA_CERT_PATH' : 'check that TEMPORAL_TLS_SERVER_CA_CERT_PATH names the authority that has signed it');
}

const WANTS_CERTIFICATE = /ALERT_CERTIFICATE_REQUIRED/;
const DISLIKES_CERTIFICATE = /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(UNKNOWN|EXPIRED|REVOKED)|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)/;

/** A handshake, or the first words after it, that broke off with this error. */
export function handshakeFault(error: NodeJS.ErrnoException, { where }: Place, { clientCertPair }: TemporalTls): DrydockError {
  const code = error.code ?? '';
  const said = code === '' ? error.message : code;
  if (WANTS_CERTIFICATE.test(code) || (DISLIKES_CERTIFICATE.test(code) && clientCertPair === undefined)) {
    return new DrydockError('AuthRejected', `Temporal at ${where} wants a client certificate (${said})`, { remedy: 'name one with its key by TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH', cause: error });
  }
  if (DISLIKES_CERTIFICATE.test(code)) {
    return new DrydockError('AuthRejected', `Temporal at ${where} does not take our client certificate (${said})`, { remedy: OWN_CERTIFICATE, cause: error });
  }
  if (/NO_APPLICATION_PROTOCOL/.test(code)) {
    return rejected(`${where} speaks TLS, but not HTTP/2 (${said}): that is a web server or a proxy, no Temporal server`, 'check the port (that of the UI is another one), and that a proxy in between lets gRPC (HTTP/2) through', error);
  }
  if (/PEM|ASN1|KEY_VALUES_MISMATCH|X509/.test(code) || code.startsWith('ERR_OSSL')) {
    return new DrydockError('InvalidInput', `the certificates for Temporal cannot be used (${said})`, { remedy: `${OWN_CERTIFICATE} and TEMPORAL_TLS_SERVER_CA_CERT_PATH: each is a PEM file`, cause: error });
  }
  const hangsUp = code === 'ECONNRESET' || code === 'EPIPE';
  const remedy = hangsUp ? (clientCertPair === undefined ? 'it may want a client certificate: TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH' : `it may not know our client certificate: ${OWN_CERTIFICATE}`) : 'check that TLS 1.2 or newer is spoken at this port, and the TEMPORAL_TLS_* settings';
  return rejected(hangsUp ? `Temporal at ${where} hangs up on our TLS connection` : `no TLS connection to Temporal at ${where} (${said})`, remedy, error);
}

function rejected(message: string, remedy: string, cause?: unknown): DrydockError {
  return new DrydockError('TlsRejected', message, { remedy, cause });
}
