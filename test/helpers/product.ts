/** The product as people run it: `dist/`, made from today's sources unless it is. From TypeScript, each start of a worker takes five seconds of a core. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const ROOT = path.resolve(__dirname, '..', '..');
const DIST = path.join(ROOT, 'dist');

let isBuilt = false;

/** The `drydock` command. */
export function builtCommand(): string {
  build();
  return path.join(DIST, 'client', 'main.js');
}

/** The workflows, for a worker's or a replay's `workflowBundle`. */
export function builtWorkflows(): { codePath: string } {
  build();
  return { codePath: path.join(DIST, 'workflow-bundle.js') };
}

function build(): void {
  if (isBuilt) return;
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  isBuilt = true;
}
