/** Where records of changes are kept: a vault of the cluster, a host that is changed, or the worker's stateDir. */

export interface ChangePlace {
  /** For people, and for records that could not be ended there: `vault main`, `host node-1`. */
  readonly name: string;
  readonly kind: 'vault' | 'host' | 'worker';
  /** All records of the cluster, `<id>.<revision>.json`, with their text. Throws DrydockError where nothing can be read now. */
  list(): Promise<{ name: string; text: string }[]>;
  /** Whole or not at all, durable on return. The same text under a name that exists is success. Throws DrydockError. */
  put(name: string, text: string): Promise<void>;
  /** Absent is success. Throws DrydockError. */
  remove(name: string): Promise<void>;
  /** Whether `put` would do now, without leaving anything. Throws DrydockError saying why not. */
  tryOut(): Promise<void>;
}

/** Records are small; what is larger is none. */
export const RECORD_MAX_BYTES = 4 * 1024 * 1024;

export const RECORD_NAME = /^((?:freeze|stop|hold|restore)-[0-9a-f]{16})\.([1-9][0-9]*)\.json$/;

export function recordName({ id, revision }: { id: string; revision: number }): string {
  return `${id}.${revision}.json`;
}
