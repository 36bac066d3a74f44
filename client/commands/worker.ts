import { EXIT } from '../../domain/contract';
import { workerMain } from '../../worker/main';

/** Works until a signal. */
export async function run(options: { config?: string }): Promise<number> {
  await workerMain(options.config);
  return EXIT.ok;
}
