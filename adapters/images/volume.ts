import { DrydockError } from '../../domain/errors';
import { BLOBS_ROOT } from '../../domain/layout';
import type { Host } from '../host/host';

/** Name of what a restore puts aside in a volume's root; never backed up. */
export const STAGING_PREFIX = '.drydock-restore-';

export interface StreamOptions {
  signal?: AbortSignal;
  /** No byte for this long is a `Stalled` error. Default: the host's. */
  stallMs?: number;
  /** Words in front of the command on the host, such as `nice -n 10`. */
  priority?: string[];
}

/** A registry volume's root without a trailing `/`. Throws InvalidInput for what cannot be one. */
export function volumeRoot(root: string): string {
  const trimmed = root.replace(/\/+$/, '');
  if (!trimmed.startsWith('/') || /[\0\n]|\/\.\.?(\/|$)/.test(trimmed)) {
    throw new DrydockError('InvalidInput', `${JSON.stringify(root)} cannot be the root of a registry volume`, { remedy: 'it must be an absolute path such as /var/lib/docker/volumes/dtr-registry-0123456789ab/_data' });
  }
  return trimmed;
}

/** Ends with 3 when the first folder is not there, with 4 when the second is not. */
const LOOK = 'test -d "$1" || exit 3; test -d "$2" || exit 4';

/** Throws NotFound when the volume's root is not there. Tells whether it holds blobs at all: a fresh registry has none. */
export async function hasBlobs(host: Host, root: string, signal?: AbortSignal): Promise<boolean> {
  const { code } = await host.exec(['sh', '-c', LOOK, 'sh', root, `${root}/${BLOBS_ROOT}`], { okCodes: [0, 3, 4], signal });
  if (code === 3) {
    throw new DrydockError('NotFound', `${host.name}: the registry volume's directory ${root} does not exist`, { remedy: 'check that the volume exists on this host and is mounted' });
  }
  return code === 0;
}
