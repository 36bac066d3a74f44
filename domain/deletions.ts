/** Which of the registry's jobs delete what a backup needs: while metadata and images are read, none of them may run. */

/** Those that are known by name. */
export const DELETIONS = ['gc', 'onlinegc', 'onlinegc_metadata', 'onlinegc_blobs', 'tag_pruning'] as const;
const NAMED = new Set<string>(DELETIONS);
/** These tidy up logs and events only. */
const HARMLESS = new Set(['onlinegc_joblogs', 'onlinegc_events']);

/** True for garbage collection and pruning, also under names that later versions may bring. */
export function isDeletion(action: string): boolean {
  return NAMED.has(action) || (/gc|prun/i.test(action) && !HARMLESS.has(action));
}
