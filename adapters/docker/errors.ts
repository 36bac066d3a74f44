import { DrydockError } from '../../domain/errors';
import { classifyNetworkError, classifyStatus, type Service } from '../http/errors';

export const DOCKER: Service = {
  name: 'the Docker API',
  unavailable: 'EngineUnavailable',
  caSetting: 'the ca.pem of the client bundle',
  authRemedy: 'get a new client bundle from this UCP (ucp.bundle, or remove the kept one under stateDir/bundles)',
};

interface DockerodeError extends Error {
  statusCode?: number;
  json?: unknown;
}

/** A readable error for a failed call of dockerode or of our own transport. */
export function dockerError(error: unknown, call: string, where: string): DrydockError {
  if (error instanceof DrydockError) return error;
  const { statusCode, json } = error as DockerodeError;
  if (typeof statusCode === 'number') return statusError(statusCode, saidBy(json), call);
  if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') {
    // Some servers hang up on a client certificate that they do not know instead of saying so.
    return new DrydockError('EngineUnavailable', `${DOCKER.name} at ${where} hung up (${call})`, { remedy: `check that it is up; if it is, ${DOCKER.authRemedy}`, cause: error, details: { code: 'ECONNRESET' } });
  }
  return classifyNetworkError(error, DOCKER, where);
}

export function statusError(status: number, said: string, call: string): DrydockError {
  if (/no such image/i.test(said)) {
    return new DrydockError('NotFound', `${call}: ${said}`, { remedy: 'load or pull the image on the node', details: { status } });
  }
  if (/unable to find a node|no resources available to schedule|no healthy node/i.test(said)) {
    return new DrydockError('NotFound', `${call}: ${said}`, { remedy: 'check that the node is in the cluster, ready and active (docker node ls)', details: { status } });
  }
  if (/must be demoted to worker/i.test(said)) {
    return new DrydockError('Refused', `${call}: ${said}`, { remedy: 'docker node demote that node, then run the step again', details: { status } });
  }
  if (/swarm does not have a leader/i.test(said)) {
    return new DrydockError('EngineUnavailable', `${call}: ${said}`, { remedy: 'bring managers of the Swarm back; where most of them are lost for good, run docker swarm init --force-new-cluster on one that is left, then start this again', details: { status } });
  }
  if (/no space left on device/i.test(said)) return new DrydockError('NoSpace', `${call}: ${said}`, { remedy: 'make room on the node', details: { status } });
  if (/port is already allocated|address already in use/i.test(said)) {
    return new DrydockError('Conflict', `${call}: ${said}`, { remedy: 'free the port, or choose another', details: { status } });
  }
  return classifyStatus(status, { message: said }, DOCKER, call);
}

export function saidBy(json: unknown): string {
  if (Buffer.isBuffer(json)) return json.toString('utf8').trim().slice(0, 300);
  const message = (json as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message.trim().slice(0, 500) : '';
}

/** The same error without the given values in its text. */
export function withoutSecrets(error: unknown, secrets: string[]): unknown {
  if (!(error instanceof DrydockError)) return error;
  const message = secrets.filter((secret) => secret.length >= 4).reduce((text, secret) => text.replaceAll(secret, '***'), error.message);
  if (message === error.message) return error;
  return new DrydockError(error.kind, message, { remedy: error.remedy, details: error.details });
}
