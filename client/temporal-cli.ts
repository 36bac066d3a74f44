/** Finds the `temporal` program, whose development server `drydock up` runs. */
import { access, constants, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DrydockError } from '../domain/errors';

const NAME = process.platform === 'win32' ? 'temporal.exe' : 'temporal';

/**
 * Looks in TEMPORAL_CLI_PATH, on PATH, in `.drydock/bin` of the current directory and beside this program, and in the SDK's own
 * download cache. Throws NotFound saying how to get it, InvalidInput where TEMPORAL_CLI_PATH is wrong.
 */
export async function findTemporalCli(): Promise<string> {
  const named = process.env.TEMPORAL_CLI_PATH;
  if (named) {
    if (await isProgram(named)) return path.resolve(named);
    throw new DrydockError('InvalidInput', `TEMPORAL_CLI_PATH names ${named}, which is no program that can be run`, { remedy: 'correct or unset TEMPORAL_CLI_PATH' });
  }
  for (const candidate of [...onPath(), ...inProject(), ...(await inSdkCache())]) {
    if (await isProgram(candidate)) return candidate;
  }
  throw new DrydockError('NotFound', 'the `temporal` program is not here, and `drydock up` needs it for its development server', {
    remedy:
      'get it from https://docs.temporal.io/cli, or with Go 1.25 or newer by `GOBIN=/usr/local/bin go install github.com/temporalio/cli/cmd/temporal@v1.5.1`; ' +
      'or name it by TEMPORAL_CLI_PATH; or use a Temporal server of your own with `drydock worker`',
  });
}

function onPath(): string[] {
  return (process.env.PATH ?? '').split(path.delimiter).filter(Boolean).map((directory) => path.resolve(directory, NAME));
}

function inProject(): string[] {
  // From sources this file is in client/, compiled it is in dist/client/.
  return [process.cwd(), path.join(__dirname, '..'), path.join(__dirname, '..', '..')].map((root) => path.join(root, '.drydock', 'bin', NAME));
}

/** The SDK keeps what it downloads as `<temp dir>/temporal-sdk-typescript-<version>`; the newest is taken. */
async function inSdkCache(): Promise<string[]> {
  const directory = tmpdir();
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.startsWith('temporal-sdk-typescript-'));
  const found = await Promise.all(names.map(async (name) => ({ file: path.join(directory, name), stat: await stat(path.join(directory, name)).catch(() => undefined) })));
  const own = process.getuid?.();
  // The temporary directory is everybody's: a program that another user has put there is not run.
  return found
    .filter((entry) => entry.stat?.isFile() && (own === undefined || entry.stat.uid === own))
    .sort((a, b) => (b.stat?.mtimeMs ?? 0) - (a.stat?.mtimeMs ?? 0))
    .map((entry) => entry.file);
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
