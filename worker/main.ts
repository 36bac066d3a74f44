/** Entry of a worker that runs on its own: `node dist/worker/main.js`, or `drydock worker`. */
import { DrydockError } from '../domain/errors';
import { findConfig, loadConfig } from './config';
import { endThough } from './end';
import { createLogger } from './logging';
import { stopSignal } from './stop-signal';
import { runWorker, STEPS_END_SECONDS } from './worker';

/** Reads the configuration and works until SIGINT or SIGTERM. */
export async function workerMain(configOption?: string): Promise<void> {
  const configPath = findConfig(configOption);
  const config = await loadConfig(configPath);
  const logger = createLogger({ readable: process.stderr.isTTY });
  const { signal, release } = stopSignal((name) => {
    logger.info(`${name}: stopping; running steps have ${STEPS_END_SECONDS} s to end, and the next worker goes on with those that do not; once more stops at once`);
  });
  try {
    await runWorker(config, {
      configPath,
      logger,
      signal,
      onReady: ({ address, taskQueue }) => {
        logger.info(`listening on task queue "${taskQueue}" of Temporal at ${address} for ${Object.keys(config.clusters).join(', ') || 'no cluster'}`);
      },
    });
    logger.info('stopped');
  } finally {
    release();
  }
}

if (require.main === module) {
  workerMain(process.argv[2] === '--config' ? process.argv[3] : undefined).catch((error: unknown) => {
    const text = error instanceof DrydockError ? [error.message, error.remedy].filter(Boolean).join('\n  ') : error instanceof Error ? error.message : String(error);
    process.stderr.write(`drydock worker: ${text}\n`);
    process.exitCode = 1;
    endThough();
  });
}
