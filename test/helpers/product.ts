/** Today's sources in a form that starts at once: see scripts/tests/product.mjs. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '..', '..');

let folder: string | undefined;

/** The command, in one file. */
export function builtCommand(): string {
  return path.join(built(), 'client', 'main.js');
}

/** The workflows, for a worker's or a replay's `workflowBundle`. */
export function builtWorkflows(): { codePath: string } {
  return { codePath: path.join(built(), 'workflow-bundle.js') };
}

function built(): string {
  if (folder !== undefined) return folder;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/tests/product.mjs'], { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the product cannot be bundled for tests: ${stderr}`);
  folder = stdout.trim();
  return folder;
}
