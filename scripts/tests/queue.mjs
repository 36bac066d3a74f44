/** In which order the processes of a suite run, and how many at once. */

/**
 * Runs everything in its order: `atOnce` of `processes` side by side, and beside those one of `light`, which takes the time that labs spend waiting. What is left
 * of `light` then follows. Where only one may run, the light ones come behind.
 * @template T
 * @param {{processes: T[], light?: T[], atOnce: number}} suite
 * @param {(process: T) => Promise<void>} run
 * @param {() => boolean} isOver nothing more is begun when it says so
 */
export async function runQueue({ processes, light = [], atOnce }, run, isOver = () => false) {
  const [heavy, others] = [[...processes], [...light]];
  const work = async (next) => {
    for (let process = next(); process !== undefined; process = next()) {
      if (isOver()) return;
      await run(process);
    }
  };
  const workers = Array.from({ length: atOnce }, () => work(() => heavy.shift() ?? others.shift()));
  if (atOnce > 1) workers.push(work(() => others.shift()));
  await Promise.all(workers);
}
