/** The step of `RESTORE.md` that brings the registry volume back. */
import type { Volume } from '../../domain/manifest';
import { fileOf } from '../../domain/manifest-artifacts';
import type { GuideFacts } from './restore-guide';
import { shellBlock, shellValue } from './restore-guide-shell';

/** Volume, link tree and blobs, each blob compared with its SHA-256 where it lies. */
export function imagesStep({ manifest }: GuideFacts): string {
  const { images, artifacts } = manifest;
  if (images.in === 'elsewhere') return `## 4. Images\n\nThey are not in this backup: ${images.keptBy}.\n`;
  const { volume } = images;
  const owner = `${volume.owner.uid}:${volume.owner.gid}`;
  return `## 4. Images, before the metadata

Only what this backup needs is taken out of each segment, and every blob is hashed where it lies. The block may be run again.
${isMount(volume) ? `\nThe volume is a mount: a container holds it open meanwhile, because what is written beside a mount is hidden by the next one.\n` : ''}
${shellBlock([
  '(',
  "step 'images'",
  'umask 022',
  ...rootLines(volume),
  ...(artifacts.tree === undefined ? [] : [`opened ${fileOf(artifacts.tree)} | gzip -dc | tar -C "$ROOT" --numeric-owner -xpf -`]),
  ...(manifest.counts.segments === 0 ? ['# No segment: the registry was empty.'] : segmentLines()),
  `chown -R ${owner} "$ROOT"`,
  `chmod ${volume.mode} "$ROOT"`,
  'if command -v restorecon >/dev/null; then restorecon -R "$ROOT"; fi',
  ...(isMount(volume) ? ['docker rm --force drydock-hold >/dev/null'] : []),
  ')',
])}`;
}

/** Sets ROOT: the directory of the volume's content on this host. */
function rootLines(volume: Volume): string[] {
  const name = shellValue(volume.name);
  if (volume.name.startsWith('/')) return [`ROOT=${name}`, 'mkdir -p "$ROOT"'];
  const options = Object.entries(volume.options).map(([key, value]) => ` --opt ${shellValue(`${key}=${value}`)}`);
  const hold = [
    'docker rm --force drydock-hold >/dev/null 2>&1 || true',
    `docker run --detach --log-driver none --name drydock-hold --volume ${name}:/hold --entrypoint sleep "$IMAGE" 1000000 >/dev/null`,
  ];
  return [
    `docker volume create --driver ${shellValue(volume.driver)}${options.join('')} ${name} >/dev/null`,
    ...(isMount(volume) ? hold : []),
    `ROOT=$(docker volume inspect --format '{{.Mountpoint}}' ${name})`,
    ...(isMount(volume) ? ['mountpoint "$ROOT"'] : []),
  ];
}

function segmentLines(): string[] {
  return [
    'cut -d " " -f 1 "$WORK/blobs" | uniq >"$WORK/segments"',
    'while read -r segment; do',
    '  echo "segment $segment"',
    '  grep "^$segment " "$WORK/blobs" | cut -d " " -f 3- >"$WORK/names"',
    '  opened "../../segments/$segment.tar.gpg" | tar -C "$ROOT" -xf - --files-from "$WORK/names"',
    'done <"$WORK/segments"',
    'sed -E "s/^[^ ]+ ([0-9a-f]+) /\\1  /" "$WORK/blobs" >"$WORK/blobs.sha256"',
    '(cd "$ROOT" && sha256sum --quiet --strict -c "$WORK/blobs.sha256")',
  ];
}

/** True where the content lies on something that is mounted only while a container uses the volume. */
function isMount(volume: Volume): boolean {
  return !volume.name.startsWith('/') && (volume.driver !== 'local' || volume.options.device !== undefined);
}
