/** Which of the registry's jobs delete what a backup needs: while metadata and images are read, none of them may run. */

const NAMED = new Set(['gc', 'onlinegc', 'onlinegc_metadata', 'onlinegc_blobs', 'tag_pruning']);
/** These tidy up logs and events only. */
const HARMLESS = new Set(['onlinegc_joblogs', 'onlinegc_events']);

/** True for garbage collection and pruning, also under names that later versions may bring. */
export function isDeletion(action: string): boolean {
  return NAMED.has(action) || (/gc|prun/i.test(action) && !HARMLESS.has(action));
}
