import { createConsole } from '../console';
import { describeOperation } from '../operations';
import { runToEnd } from '../run-to-end';
import { openSession, optionalConfig } from '../session';

/** Watches a run to its end. With `--json` prints what `show --json` prints, once, at the end. */
export async function run(workflowId: string, options: { config?: string; json?: boolean }): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const session = await openSession(await optionalConfig(options.config));
  try {
    await describeOperation(session, workflowId);
    return await runToEnd(session, workflowId, screen, { json: options.json ?? false, printed: (end) => end });
  } finally {
    await session.close();
  }
}
