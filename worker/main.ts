/** Entry of a worker that runs on its own: `node dist/worker/main.js`, or `drydock worker`. */
import { DrydockError } from '../domain/errors';
import { findConfig, loadConfig } from './config';
import { createLogger } from './logging';
import { stopSignal } from './stop-signal';
import { runWorker } from './worker';

/** Reads the configuration and works until SIGINT or SIGTERM. */
export async function workerMain(configOption?: string): Promise<void> {
  const configPath = findConfig(configOption);
  const config = await loadConfig(configPath);
  const logger = createLogger({ readable: process.stderr.isTTY });
  const { signal, release } = stopSignal((name) => {
    logger.info(`${name}: finishing what runs, then stopping; once more stops at once`);
  });
  try {
    await runWorker(config, {
      configPath,
      logger,
      signal,
      onReady: () => {
        logger.info(`listening on task queue "${config.temporal.taskQueue}" for ${Object.keys(config.clusters).join(', ') || 'no cluster'}`);
      },
    });
  } finally {
    release();
  }
}

if (require.main === module) {
  workerMain(process.argv[2] === '--config' ? process.argv[3] : undefined).catch((error: unknown) => {
    const text = error instanceof DrydockError ? [error.message, error.remedy].filter(Boolean).join('\n  ') : error instanceof Error ? error.message : String(error);
    process.stderr.write(`drydock worker: ${text}\n`);
    process.exitCode = 1;
  });
}
