import { HttpError, readJson, sendJson, type Router } from '../../common/http';
import type { Access } from '../access';
import type { Context } from '../context';

/** Switches that the vendor's product does not have; they stand beside the tables and never get into an archive. */
const KNOBS = {
  /** Milliseconds that `backup` waits after each table. */
  backupTableDelayMs: '/dtr/lab/backupTableDelayMs',
  /** Milliseconds that every job takes at least. */
  jobDelayMs: '/dtr/lab/jobDelayMs',
  /** Anything but 0: the online update of the vulnerability database fails. */
  failOnlineUpdate: '/dtr/lab/failOnlineUpdate',
  /** Seconds for which collections leave new content alone. */
  gcGraceSeconds: '/dtr/lab/gcGraceSeconds',
} as const;

export type Knob = keyof typeof KNOBS;

export async function readKnob(context: Context, knob: Knob, fallback = 0): Promise<number> {
  const kv = await context.store.etcd.get(KNOBS[knob]);
  return kv ? Number(kv.value) : fallback;
}

/** `PUT /api/v0/lab/knobs {"backupTableDelayMs": 500}`; 0 switches off. */
export function labRoutes(router: Router, context: Context, access: Access): void {
  router.on('PUT', '/api/v0/lab/knobs', async ({ request, response }) => {
    await access.authenticateAdmin(request);
    for (const [name, value] of Object.entries(await readJson(request))) {
      const key = (KNOBS as Record<string, string>)[name];
      if (key === undefined || typeof value !== 'number') throw new HttpError(400, 'INVALID_PARAMETERS', `${name} is no switch, or its value no number`);
      await context.store.etcd.put(key, String(value));
    }
    sendJson(response, 200, {});
  });
}
