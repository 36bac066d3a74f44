import type { Context } from '../context';

const LOCK = '/dtr/gc/lock';
const LEASE_SECONDS = 15;

/** One collection at a time in the cluster; the lock falls when its holder dies. */
export async function withCollectorLock(context: Context, work: () => Promise<void>): Promise<void> {
  await withLeasedKey(context, LOCK, context.replicaId, work);
}

/** Holds a key while the work goes on; throws when somebody else holds it. */
export async function withLeasedKey(context: Context, key: string, value: string, work: () => Promise<void>): Promise<void> {
  const { etcd } = context.store;
  const lease = await etcd.grant(LEASE_SECONDS);
  const timer = setInterval(() => void etcd.keepAlive(lease).catch(() => undefined), (LEASE_SECONDS * 1000) / 3);
  try {
    if (!(await etcd.transact([{ key, revision: '0' }], [{ put: { key, value, lease } }]))) throw new Error('another garbage collection is running');
    await work();
  } finally {
    clearInterval(timer);
    await etcd.revoke(lease).catch(() => undefined);
  }
}
