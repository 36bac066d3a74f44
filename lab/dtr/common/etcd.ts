import http from 'node:http';

/** The metadata store does not answer, or has no majority. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}

export interface KeyValue {
  key: string;
  value: string;
  /** Revision of the last change, for compare-and-swap. */
  revision: string;
}

export interface Member {
  id: string;
  /** Empty until the member has started for the first time. */
  name: string;
  peerUrl: string;
}

/** One operation of a transaction. */
export type Op = { put: { key: string; value: string; lease?: string } } | { delete: { key: string } };

/** What a transaction takes for granted: a key is absent (`revision: '0'`) or unchanged since that revision. */
export interface Condition {
  key: string;
  revision: string;
}

const b64 = (text: string): string => Buffer.from(text).toString('base64');
const unb64 = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString();

/** The key after every key that begins with `prefix`. */
function prefixEnd(prefix: string): string {
  const bytes = Buffer.from(prefix);
  bytes[bytes.length - 1] = bytes[bytes.length - 1]! + 1;
  return bytes.toString('base64');
}

interface RawKv {
  key: string;
  value?: string;
  mod_revision: string;
}

const toKv = (kv: RawKv): KeyValue => ({ key: unb64(kv.key), value: unb64(kv.value), revision: kv.mod_revision });

/** etcd 3.4 over its JSON gateway. Reads are linearizable unless said otherwise, so that a lost majority shows. */
export class Etcd {
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 32 });

  /** `endpoint` like `http://dtr-rethinkdb-<id>.dtr-ol:2379`; calls give up after `timeoutMs`. */
  constructor(
    readonly endpoint: string,
    private readonly timeoutMs = 6000,
  ) {}

  async get(key: string): Promise<KeyValue | null> {
    const answer = await this.call<{ kvs?: RawKv[] }>('/v3/kv/range', { key: b64(key) });
    return answer.kvs?.[0] ? toKv(answer.kvs[0]) : null;
  }

  /** Keys under a prefix in order, page by page; every page is a read of its own revision, as a table scan in a live database is. */
  async *scan(prefix: string, pageSize = 200): AsyncGenerator<KeyValue> {
    let from = b64(prefix);
    for (;;) {
      const answer = await this.call<{ kvs?: RawKv[]; more?: boolean }>('/v3/kv/range', { key: from, range_end: prefixEnd(prefix), limit: String(pageSize) });
      const kvs = answer.kvs ?? [];
      for (const kv of kvs) yield toKv(kv);
      if (!answer.more || kvs.length === 0) return;
      from = Buffer.concat([Buffer.from(kvs[kvs.length - 1]!.key, 'base64'), Buffer.from([0])]).toString('base64');
    }
  }

  async count(prefix: string): Promise<number> {
    const answer = await this.call<{ count?: string }>('/v3/kv/range', { key: b64(prefix), range_end: prefixEnd(prefix), count_only: true });
    return Number(answer.count ?? 0);
  }

  async put(key: string, value: string, lease?: string): Promise<void> {
    await this.call('/v3/kv/put', { key: b64(key), value: b64(value), ...(lease ? { lease } : {}) });
  }

  async delete(key: string): Promise<void> {
    await this.call('/v3/kv/deleterange', { key: b64(key) });
  }

  async deletePrefix(prefix: string): Promise<void> {
    await this.call('/v3/kv/deleterange', { key: b64(prefix), range_end: prefixEnd(prefix) });
  }

  /** All operations, or none when a condition does not hold (answers false). */
  async transact(conditions: Condition[], ops: Op[]): Promise<boolean> {
    const compare = conditions.map((c) => ({ key: b64(c.key), target: 'MOD', result: 'EQUAL', mod_revision: c.revision }));
    const success = ops.map((op) =>
      'put' in op
        ? { request_put: { key: b64(op.put.key), value: b64(op.put.value), ...(op.put.lease ? { lease: op.put.lease } : {}) } }
        : { request_delete_range: { key: b64(op.delete.key) } },
    );
    const answer = await this.call<{ succeeded?: boolean }>('/v3/kv/txn', { compare, success });
    return answer.succeeded === true;
  }

  /** A lease: its keys vanish when nobody renews it for `seconds`. */
  async grant(seconds: number): Promise<string> {
    return (await this.call<{ ID: string }>('/v3/lease/grant', { TTL: String(seconds) })).ID;
  }

  async keepAlive(lease: string): Promise<void> {
    await this.call('/v3/lease/keepalive', { ID: lease });
  }

  async revoke(lease: string): Promise<void> {
    await this.call('/v3/lease/revoke', { ID: lease });
  }

  async members(): Promise<Member[]> {
    const answer = await this.call<{ members?: { ID: string; name?: string; peerURLs: string[] }[] }>('/v3/cluster/member/list', {});
    return (answer.members ?? []).map((m) => ({ id: m.ID, name: m.name ?? '', peerUrl: m.peerURLs[0] ?? '' }));
  }

  async addMember(peerUrl: string): Promise<void> {
    await this.call('/v3/cluster/member/add', { peerURLs: [peerUrl] });
  }

  async removeMember(id: string): Promise<void> {
    await this.call('/v3/cluster/member/remove', { ID: id });
  }

  /** This member's own view; works without a majority. `leader` is null when there is none. */
  async status(): Promise<{ leader: string | null; dbSize: number }> {
    const answer = await this.call<{ leader?: string; dbSize?: string }>('/v3/maintenance/status', {});
    return { leader: answer.leader && answer.leader !== '0' ? answer.leader : null, dbSize: Number(answer.dbSize ?? 0) };
  }

  close(): void {
    this.agent.destroy();
  }

  private call<T>(path: string, body: object): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const payload = JSON.stringify(body);
      const url = new URL(path, this.endpoint);
      const request = http.request(
        url,
        { method: 'POST', agent: this.agent, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', (error) => reject(new StoreUnavailable(error.message)));
          response.on('end', () => {
            clearTimeout(timer);
            const text = Buffer.concat(chunks).toString();
            if (response.statusCode === 200) {
              // The gateway wraps streamed answers (lease keep-alive) in {"result": ...}.
              resolve(JSON.parse(text.split('\n')[0]!) as T);
              return;
            }
            reject(new StoreUnavailable(describe(text)));
          });
        },
      );
      const timer = setTimeout(() => request.destroy(new Error('request timed out')), this.timeoutMs);
      request.on('error', (error) => {
        clearTimeout(timer);
        reject(new StoreUnavailable(`${url.host}: ${error.message}`));
      });
      request.end(payload);
    });
  }
}

function describe(text: string): string {
  try {
    const parsed = JSON.parse(text) as { message?: string; error?: string };
    return parsed.message ?? parsed.error ?? text;
  } catch {
    return text;
  }
}
