/** In which order the processes of a suite run, and how many at once. */

/**
 * Runs everything once: `atOnce` side by side, of which `heavyAtOnce` may be of `processes` (labs). Each goes through `processes` and then through `light`; the last
 * of several begins with `light`, which takes the time that labs spend waiting.
 * @template T
 * @param {{processes: T[], light?: T[], atOnce: number, heavyAtOnce?: number}} suite
 * @param {(process: T) => Promise<void>} run
 * @param {() => boolean} isOver nothing more is begun when it says so
 */
export async function runQueue({ processes, light = [], atOnce, heavyAtOnce = atOnce }, run, isOver = () => false) {
  const [heavy, others] = [[...processes], [...light]];
  const work = async (next) => {
    for (let process = next(); process !== undefined && !isOver(); process = next()) await run(process);
  };
  const workers = Array.from({ length: atOnce }, (_, at) => {
    if (at === 0 || at < atOnce - 1) return work(() => heavy.shift() ?? others.shift());
    return work(() => others.shift() ?? (heavyAtOnce === atOnce ? heavy.shift() : undefined));
  });
  await Promise.all(workers);
}
