import { EXIT } from '../../domain/contract';
import { createConsole } from '../console';
import { cancelOperation } from '../operations';
import { openSession, optionalConfig } from '../session';

/** Asks a run to stop; returns at once, the undoing goes on. */
export async function run(workflowId: string, options: { config?: string; json?: boolean }): Promise<number> {
  const screen = createConsole({ json: options.json ?? false });
  const session = await openSession(await optionalConfig(options.config));
  try {
    await cancelOperation(session, workflowId);
    screen.out(`${workflowId} is asked to stop; it puts back first what can be put back. Follow it with \`drydock watch ${workflowId}\`.`);
    if (options.json) screen.json({ workflowId, cancelRequested: true });
    return EXIT.ok;
  } finally {
    await session.close();
  }
}
