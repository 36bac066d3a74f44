/** Programs that are built from the Go module proxy. */
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { SetupError } from '../lib/console.mjs';
import { exec, isExecutable, which } from '../lib/exec.mjs';

export const GO_MINIMUM = '1.25';
/** Nobody debugs these programs: the linker is done sooner and the file a third smaller. */
const WITHOUT_SYMBOLS = '-ldflags=-s -w';

/** Path of a Go that is new enough, or undefined. */
export async function usableGo() {
  const go = which('go') ?? ['/usr/local/go/bin/go'].find(isExecutable);
  if (go === undefined) return undefined;
  const { stdout } = await exec(go, ['env', 'GOVERSION'], { timeoutMs: 20_000 });
  const found = /go(\d+)\.(\d+)/.exec(stdout);
  if (!found) return undefined;
  const [major, minor] = [Number(found[1]), Number(found[2])];
  const [wantedMajor, wantedMinor] = GO_MINIMUM.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor) ? go : undefined;
}

/**
 * Builds `module` (with its version) into the file `target`; `accept(program, target)` moves it there once it is known to run.
 * @throws SetupError
 */
export async function goInstall(go, module, target, live, accept) {
  const folder = mkdtempSync(path.join(path.dirname(target), 'build-'));
  let compiled = 0;
  try {
    const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0' };
    const onLine = (line) => live(line.startsWith('go: ') ? line : `${(compiled += 1)} packages compiled`);
    const { code, output } = await exec(go, ['install', '-v', WITHOUT_SYMBOLS, module], { env, onLine });
    if (code !== 0) throw new SetupError(`go install ${module} failed:\n${output.trim().split('\n').slice(-6).join('\n')}`, 'Check that the Go module proxy can be reached (go env GOPROXY), then run the same command again.');
    await accept(path.join(folder, path.basename(target)), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
