import { Etcd, type KeyValue, type Op } from './etcd';
import { primaryKey, type Row } from './tables';

const TABLE_ROOT = '/dtr/tables';

export function rowKey(table: string, key: string): string {
  return `${TABLE_ROOT}/${table}/${key}`;
}

/** Address of a replica's own member of the metadata store, on the overlay. */
export function storeEndpoint(replicaId: string): string {
  return `http://dtr-rethinkdb-${replicaId}.dtr-ol:2379`;
}

export function peerUrl(replicaId: string): string {
  return `http://dtr-rethinkdb-${replicaId}.dtr-ol:2380`;
}

/** The metadata store as tables of JSON rows. */
export class Store {
  readonly etcd: Etcd;

  constructor(etcd: Etcd) {
    this.etcd = etcd;
  }

  static at(replicaId: string, timeoutMs?: number): Store {
    return new Store(new Etcd(storeEndpoint(replicaId), timeoutMs));
  }

  async get<T>(table: string, key: string): Promise<T | null> {
    const kv = await this.etcd.get(rowKey(table, key));
    return kv ? (JSON.parse(kv.value) as T) : null;
  }

  /** Rows in the order of their keys; `prefix` narrows by key. */
  async *rows<T>(table: string, prefix = ''): AsyncGenerator<T> {
    for await (const kv of this.etcd.scan(rowKey(table, prefix))) yield JSON.parse(kv.value) as T;
  }

  async all<T>(table: string, prefix = ''): Promise<T[]> {
    const rows: T[] = [];
    for await (const row of this.rows<T>(table, prefix)) rows.push(row);
    return rows;
  }

  putOp(table: string, row: object): Op {
    return { put: { key: rowKey(table, primaryKey(table, row as Row)), value: JSON.stringify(row) } };
  }

  async put(table: string, row: object): Promise<void> {
    await this.etcd.transact([], [this.putOp(table, row)]);
  }

  async delete(table: string, key: string): Promise<void> {
    await this.etcd.delete(rowKey(table, key));
  }

  async clear(table: string): Promise<void> {
    await this.etcd.deletePrefix(rowKey(table, ''));
  }

  /** Compare-and-swap: `change` sees the row as it stands (null when absent) and may be called again; null from it changes nothing. */
  async update<T extends object>(table: string, key: string, change: (row: T | null) => T | null): Promise<T | null> {
    for (;;) {
      const kv: KeyValue | null = await this.etcd.get(rowKey(table, key));
      const next = change(kv ? (JSON.parse(kv.value) as T) : null);
      if (next === null) return null;
      const done = await this.etcd.transact([{ key: rowKey(table, key), revision: kv?.revision ?? '0' }], [{ put: { key: rowKey(table, key), value: JSON.stringify(next) } }]);
      if (done) return next;
    }
  }

  /** One property's value; undefined when it is not set. */
  async property<T>(key: string): Promise<T | undefined> {
    return (await this.get<{ key: string; value: T }>('properties', key))?.value;
  }

  async properties(): Promise<Record<string, unknown>> {
    const all: Record<string, unknown> = {};
    for await (const row of this.rows<{ key: string; value: unknown }>('properties')) all[row.key] = row.value;
    return all;
  }

  async setProperties(values: Record<string, unknown>): Promise<void> {
    const ops = Object.entries(values).map(([key, value]) => this.putOp('properties', { key, value }));
    if (ops.length > 0) await this.etcd.transact([], ops);
  }
}
