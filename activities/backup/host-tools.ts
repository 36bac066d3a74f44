/** Whether a host's tools do what our commands ask of them: tried with the very options, on nothing. */
import type { Host } from '../../adapters/host/host';
import { DrydockError } from '../../domain/errors';

/** By tool; each does nothing, and knows every option that `adapters/images` gives. */
const TRIALS: Record<string, string> = {
  tar:
    "tar -C / --format=posix --pax-option=delete=atime,delete=ctime,delete=mtime --numeric-owner --hard-dereference --no-recursion --wildcards --anchored '--exclude=./none' --no-anchored " +
    '-b 256 -cf /dev/null --null --no-unquote -T /dev/null',
  find: "find /dev/null -maxdepth 0 -ignore_readdir_race -name _uploads -prune -o -type f -printf '%P\\0%s\\0%T@\\0'",
  xargs: 'xargs -0 -r true </dev/null',
  sha256sum: 'sha256sum -- </dev/null',
  stat: "stat -c '%u %g %a' /",
};

/** Throws Refused naming the tools that the host lacks, or what they are and which option they do not know. */
export async function checkTools(host: Host, tools: string[], remedy: string): Promise<void> {
  const lines = [
    `for tool in ${tools.join(' ')}; do command -v "$tool" >/dev/null || echo "lacks $tool"; done`,
    'try() { command -v "$1" >/dev/null || return 0; said=$(sh -c "$2" 2>&1 >/dev/null) && return 0; version=$("$1" --version 2>/dev/null | head -n 1); echo "$1 (${version:-of busybox, or older than --version}): $(echo "$said" | head -n 1)"; }',
    ...Object.entries(TRIALS).map(([tool, command]) => `try ${tool} ${quoted(command)}`),
  ];
  const { stdout } = await host.exec(['sh', '-c', lines.join('\n')]);
  const faults = stdout.trim().split('\n').filter((line) => line !== '');
  const missing = faults.filter((line) => line.startsWith('lacks ')).map((line) => line.slice('lacks '.length));
  if (missing.length > 0) throw new DrydockError('Refused', `${host.name} lacks ${missing.join(', ')}`, { remedy });
  if (faults.length > 0) throw new DrydockError('Refused', `${host.name} has tools that do not do what is needed: ${faults.join('; ')}`, { remedy });
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
