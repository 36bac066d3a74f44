/** Health of one replica at its own address, whose certificate names the cluster and not the replica. */
import { request } from 'node:https';
import { readFile } from 'node:fs/promises';

export interface ReplicaAddress {
  host: string;
  port: number;
  caFile?: string;
  insecure: boolean;
}

const TIMEOUT_MS = 15_000;
const MAX_BODY = 64 * 1024;

/**
 * `GET /_ping` of one replica. The certificate's chain is checked, its name is not: nothing secret is sent. Never throws for a replica that
 * cannot be reached or is not healthy: that is the answer.
 */
export async function pingReplica(address: ReplicaAddress, signal?: AbortSignal): Promise<{ healthy: boolean; error: string }> {
  try {
    const ca = address.caFile === undefined ? undefined : await readFile(address.caFile);
    const { status, text } = await get(address, ca, signal);
    const body = parse(text);
    const healthy = status === 200 && body.Healthy === true;
    const said = typeof body.Error === 'string' && body.Error !== '' ? body.Error : `it answered ${status} to /_ping`;
    return { healthy, error: healthy ? '' : said };
  } catch (error) {
    signal?.throwIfAborted();
    return { healthy: false, error: `it cannot be reached (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})` };
  }
}

function get(address: ReplicaAddress, ca: Buffer | undefined, signal: AbortSignal | undefined): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({
      host: address.host, port: address.port, path: '/_ping', ca, signal, agent: false,
      timeout: TIMEOUT_MS, rejectUnauthorized: !address.insecure, checkServerIdentity: () => undefined,
    });
    call.once('timeout', () => call.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
    call.once('error', reject);
    call.once('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        if (text.length < MAX_BODY) text += chunk;
      });
      answer.once('error', reject).once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    call.end();
  });
}

function parse(text: string): { Healthy?: unknown; Error?: unknown } {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : {};
  } catch {
    return {};
  }
}
