/** The Docker API of UCP, at whichever manager answers, with a client bundle that this UCP knows. */
import type { ClusterConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { connectEngine } from '../docker/dockerode';
import type { Engine } from '../docker/engine';
import { bundleFor, engineAddress, replaceBundle } from './bundle';
import { firstAnswer } from './first-answer';
import type { Bundle, Ucp } from './ucp';

export interface UcpEngineOptions {
  clusterName: string;
  config: ClusterConfig['ucp'];
  stateDir: string;
  ucp: Pick<Ucp, 'id' | 'fetchBundle'>;
  signal?: AbortSignal;
}

export interface UcpEngine {
  engine: Engine;
  /** `host:port` of the manager that answered. */
  where: string;
  /** What a person should know: the kept bundle was refused and fetched anew. */
  note?: string;
}

/**
 * Tries the address that the bundle names, then those of `ucp.urls`, with the same certificate. A kept bundle that UCP does not take is forgotten and fetched once more.
 * Throws AuthRejected (UCP does not take the bundle), TlsRejected, EngineUnavailable when none answers, InvalidInput for a bundle that cannot be read.
 */
export async function connectUcpEngine(options: UcpEngineOptions): Promise<UcpEngine> {
  const { clusterName, config, stateDir, ucp, signal } = options;
  const bundle = await bundleFor(clusterName, config, stateDir, ucp);
  try {
    return await engineOf(bundle, options);
  } catch (error) {
    signal?.throwIfAborted();
    const why = reasonOfRefusal(error);
    if (why === undefined) throw error;
    if (config.bundle !== undefined) throw refusedAsConfigured(config.bundle, why, error);
    const fresh = await replaceBundle({ clusterName, stateDir, refused: bundle, why, hangUp: isHangUp(error) }, ucp);
    if (fresh === undefined) throw error;
    const note = `UCP does not take the client bundle that was kept for ${clusterName} (${why}): it was forgotten, and a new one was fetched.`;
    return { ...(await engineOf(fresh, options)), note };
  }
}

async function engineOf(bundle: Bundle, { config, ucp, signal }: UcpEngineOptions): Promise<UcpEngine> {
  const { ca, cert, key, ...first } = engineAddress(bundle);
  const candidates = addressesOf(first, config.urls).map((address) => async (): Promise<UcpEngine> => {
    const engine = connectEngine({ ...address, ca, cert, key, insecure: config.insecureSkipTlsVerify });
    try {
      const { isUcp, clusterId } = await engine.info();
      // A configured bundle of another UCP is a finding of the checks; a kept one is only old.
      if (isUcp && config.bundle === undefined) await refuseOther(ucp, clusterId);
      return { engine, where: whereOf(address) };
    } catch (error) {
      engine.close();
      throw error;
    }
  });
  return firstAnswer(candidates, { signal, late: ({ engine }) => engine.close(), failed: worstOf });
}

/** A bundle that is refused is refused everywhere, and is told before what a person cannot mend. */
function worstOf(errors: DrydockError[]): DrydockError {
  const told = errors.find((error) => reasonOfRefusal(error) !== undefined && !isHangUp(error)) ?? errors.find(({ retryable }) => !retryable) ?? errors.find(isHangUp);
  const [first] = errors;
  if (told !== undefined) return told;
  if (errors.length === 1 && first !== undefined) return first;
  return new DrydockError('EngineUnavailable', `no manager of UCP answers: ${errors.map(({ message }) => message).join('; ')}`, { remedy: 'check the managers, and that ucp.urls names all of them', cause: first });
}

const OTHER_UCP = 'otherUcp';

async function refuseOther(ucp: Pick<Ucp, 'id'>, bundleId: string | undefined): Promise<void> {
  const id = await ucp.id();
  if (id === undefined || bundleId === undefined || id === bundleId) return;
  throw new DrydockError('Refused', `the client bundle is of another UCP (${bundleId}) than the one at ucp.urls (${id})`, { remedy: 'check that all of ucp.urls are managers of one UCP', details: { code: OTHER_UCP } });
}

/** Why UCP does not take a bundle, in a few words; undefined for every other failure. */
function reasonOfRefusal(error: unknown): string | undefined {
  if (!(error instanceof DrydockError)) return undefined;
  const code = typeof error.details?.code === 'string' ? error.details.code : '';
  if (error.details?.status === 401) return 'it answers 401';
  if (error.details?.clientCertificate === true) return `it refuses the certificate, ${code}`;
  if (error.details?.untrusted === true) return `another authority has signed UCP's own certificate, ${code}`;
  if (error.kind === 'Refused' && code === OTHER_UCP) return 'it is of another UCP';
  if (isHangUp(error)) return 'it hangs up on it';
  return undefined;
}

/** Some servers end the connection instead of saying that they do not know a certificate; it may also be a server that is going down. */
function isHangUp(error: unknown): boolean {
  return error instanceof DrydockError && error.details?.code === 'ECONNRESET';
}

function refusedAsConfigured(location: string, why: string, cause: unknown): DrydockError {
  const kind = cause instanceof DrydockError && cause.retryable ? cause.kind : 'AuthRejected';
  return new DrydockError(kind, `UCP does not take the client bundle ${location} (${why})`, {
    remedy: 'download a new one from this UCP to that place, or leave ucp.bundle out: then it is fetched', cause,
  });
}

interface Address {
  host: string;
  port: number;
}

function addressesOf(first: Address, urls: string[]): Address[] {
  const all = [first, ...urls.map((url) => new URL(url)).map(({ hostname, port }) => ({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) }))];
  return all.filter((address, at) => all.findIndex((other) => whereOf(other) === whereOf(address)) === at);
}

function whereOf({ host, port }: Address): string {
  return `${host}:${port}`;
}
