/** Where the worker takes the workflow code from. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { WorkerOptions } from '@temporalio/worker';

/** The bundle that `npm run build` made beside the compiled files, or else the sources, which the SDK then bundles at start. */
export function workflowSource(): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> {
  const root = path.join(__dirname, '..');
  const bundle = path.join(root, 'workflow-bundle.js');
  if (existsSync(bundle)) return { workflowBundle: { codePath: bundle } };
  return { workflowsPath: require.resolve(path.join(root, 'workflows')) };
}
