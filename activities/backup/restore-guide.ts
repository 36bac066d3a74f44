/** `RESTORE.md`: how a person without Drydock restores this very backup, with gpg, tar, sha256sum and docker. Names no repository and holds no secret. */
import type { Manifest, SegmentRef } from '../../domain/manifest';
import { artifactsOf, fileOf } from '../../domain/manifest-artifacts';
import { isPassphrase } from '../../domain/vault-format';
import { openedLines } from './restore-guide-open';
import { imagesStep } from './restore-guide-images';
import { afterwardsStep, destroyStep, joinStep, metadataStep, pullStep } from './restore-guide-registry';
import { shellBlock, shellValue } from './restore-guide-shell';

/** What the guide needs beside the manifest. Certificates are public. */
export interface GuideFacts {
  manifest: Manifest;
  /** The backup's list. */
  segments: readonly SegmentRef[];
  /** PEM text of the authorities of UCP and of the registry; null where the system's own are used, or none could be had. */
  ucpCa: string | null;
  dtrCa: string | null;
  /** The metadata was taken in read-only mode, so the registry comes back in it. */
  readOnlyInside: boolean;
  /** Fingerprint of the key that signs the manifest; null where none does. */
  signer: string | null;
}

/** The whole text. Its blocks marked `sh` restore the cluster when they are run one after the other in one bash; a test does just that. */
export function restoreGuide(facts: GuideFacts): string {
  const sections = [head, untouched, begin, whole, destroyStep, imagesStep, metadataStep, pullStep, joinStep, afterwardsStep, end];
  return sections.map((section) => section(facts)).filter((text) => text !== '').join('\n');
}

function statusText({ status, counts: { gaps } }: Manifest): string {
  if (status === 'complete') return 'Complete';
  return gaps > 0 ? `INCOMPLETE: ${gaps} gaps, see "gaps" in manifest.json` : 'INCOMPLETE: rows of the metadata could not be read, so it may lack images (see the warnings in the notes)';
}

function head({ manifest }: GuideFacts): string {
  const { backupId, cluster, product: dtr, counts, sealedAt, artifacts } = manifest;
  const { ucp } = dtr;
  const first = dtr.replicas.find(({ id }) => id === dtr.replica);
  const keys = artifacts.metadata.recipients.filter((name) => !isPassphrase(name));
  const ways = [...(artifacts.metadata.recipients.some(isPassphrase) ? ['a passphrase of the backup'] : []), ...keys.map((key) => `the private key ${key}`)];
  return `# Restore backup ${backupId} of ${cluster} by hand

- ${statusText(manifest)}, sealed ${sealedAt}.${counts.acceptedGaps === 0 ? '' : ` ${counts.acceptedGaps} missing parts of images were accepted by people: their tags and names stand in \`notes.jsonl.gz.gpg\`.`}
- DTR ${dtr.version}, made from replica ${dtr.replica}; bootstrapper \`${dtr.bootstrapperImage}\`. Only the same version restores it.
- UCP at ${ucp.url}, cluster id ${ucp.clusterId}. The target must be this UCP, or one restored from its backup: repositories belong to its accounts.
- ${counts.repositories} repositories, ${counts.tags} tags, ${counts.blobs} blobs in ${counts.segments} segments. All details stand in \`manifest.json\`.
- Replicas: ${dtr.replicas.map(({ id, node }) => `${id} on ${node}`).join(', ')}.

With Drydock: \`drydock restore ${cluster} --backup ${backupId}\`. Without it, go on here.

## Before you begin

Is restore right at all? While a majority of the replicas works, remove and join the others; while one replica's volumes can be read (DTR 2.5 and later), try the bootstrapper's
\`emergency-repair\` first. A restore begins with deleting what is left.

1. Work as root on **${first?.node ?? 'the node of the first replica'}**: a member of UCP's Swarm (\`docker node ls\`), or a new host under that name. Remove the entry of a host that was replaced: \`docker node rm\`.
   It needs bash, gpg, tar, gzip, sha256sum and docker; at the end also curl. Those of the registry's own time will do (CentOS 7, Ubuntu 16.04, Docker 17.06).
2. Have this folder there with the vault's folders beside it as they are (mounted or copied): \`../../segments\` is used.
3. Have the password of a UCP administrator, and ${ways.join(', or ')}.${keys.length > 0 ? ' A private key is imported first: `gpg --import FILE`.' : ''}
4. Every node named above needs the image \`${dtr.bootstrapperImage}\` and the others of that version (\`docker run --rm ${dtr.bootstrapperImage} images\` lists them).

Start \`bash\` in this folder and paste one block at a time. Each ends with a line that says \`done\` or \`FAILED\`: after \`FAILED\`, mend what it names and paste the same block again.
Nothing here puts a secret into a command line; only the login for the pulls stands in a file of $WORK while they run.
`;
}

/** Before anything of this folder is believed, this page included. */
function untouched({ signer }: GuideFacts): string {
  if (signer === null) return '';
  return `## 0. Is it what was sealed?

The manifest is signed, and records the SHA-256 of \`SHA256SUMS\` and of this page. Import the signer's public key first (\`gpg --import FILE\`). Have the key from elsewhere than this folder, and compare the fingerprint that gpg
prints with your own records (this page was made where ${signer} signs): whoever can change this folder could change this page, too.

${shellBlock([
  '(',
  'set -euo pipefail',
  'trap \'[ $? = 0 ] && echo "== signature: done" || echo "== signature: FAILED, do not go on" >&2\' EXIT',
  'gpg --verify manifest.json.asc manifest.json',
  'for file in SHA256SUMS RESTORE.md; do',
  '  grep -A 2 "^    \\"$file\\": {" manifest.json | grep -F "\\"sha256\\": \\"$(sha256sum <"$file" | cut -c-64)\\"" >/dev/null || { echo "$file is not the one that was sealed" >&2; exit 1; }',
  'done',
  ')',
])}`;
}

function begin({ manifest, segments, ucpCa }: GuideFacts): string {
  const { backupId, product: dtr, artifacts } = manifest;
  const { ucp } = dtr;
  const byKey = !artifacts.metadata.recipients.every(isPassphrase);
  const byPassphrase = artifacts.metadata.recipients.some(isPassphrase);
  const question = byKey && byPassphrase ? 'Passphrase of the backup, or of your private key' : byKey ? 'Passphrase of your private key (empty if it has none)' : 'Passphrase of the backup';
  const lines = [
    `BACKUP=${backupId}`,
    `IMAGE=${shellValue(dtr.bootstrapperImage)}`,
    `REPLICA=${dtr.replica}`,
    `UCP_URL=${shellValue(ucp.url)}`,
    ucpCa === null ? 'UCP_CA=$(curl --silent --show-error --fail --insecure "$UCP_URL/ca")    # compare it with one that you trust' : `UCP_CA=${shellValue(ucpCa.trim())}`,
    `IFS= read -rsp '${question}: ' PASSPHRASE; echo`,
    "IFS= read -rp 'UCP administrator: ' UCP_USERNAME",
    "IFS= read -rsp 'Password: ' UCP_PASSWORD; echo",
    'unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH    # this host\'s own engine',
    'WORK=$(mktemp -d)    # lists of what is in the backup; removed at the end',
    '# Ends a block at its first error, and says how it ended.',
    'step() { set -euo pipefail; STEP=$1; trap \'[ $? = 0 ] && echo "== $STEP: done" || echo "== $STEP: FAILED, do not go on" >&2\' EXIT; }',
    ...openedLines([...artifactsOf(manifest).flatMap(({ recipients }) => (recipients === null ? [] : [recipients])), ...segments.map(({ recipients }) => recipients)]),
    '# The vendor\'s bootstrapper; its secrets go through the environment.',
    'bootstrapper() { UCP_USERNAME="$UCP_USERNAME" UCP_PASSWORD="$UCP_PASSWORD" UCP_CA="$UCP_CA" docker run -i --rm --log-driver none --env UCP_USERNAME --env UCP_PASSWORD --env UCP_CA' +
      `${artifacts.settings ? ` --env-file <(opened ${fileOf(artifacts.settings)} | gzip -dc)` : ''} "$IMAGE" "$@" --ucp-url "$UCP_URL"; }`,
  ];
  return `## 1. Begin\n\n${shellBlock(['{', ...lines, '}'])}\n${
    byKey ? 'Where gpg\'s own agent or a smart card has the key, take `--batch --pinentry-mode loopback --passphrase-fd 3` out of `opened`.\n' : ''
  }On hosts with SELinux, write \`docker run --security-opt label=disable\` in \`bootstrapper\`.\n`;
}

function whole({ manifest }: GuideFacts): string {
  const { counts, artifacts } = manifest;
  return `## 2. Is it whole, and does it open?

\`SHA256SUMS\` covers every file of this backup but the manifest, the segments and their indexes included; \`sha256sum -c SHA256SUMS\` in this folder proves them at any time.

${shellBlock([
  '(',
  "step 'whole and readable'",
  'grep -q "\\"backupId\\": \\"$BACKUP\\"" manifest.json',
  'sha256sum --quiet -c SHA256SUMS',
  'for tool in gpg tar gzip sed sort sha256sum od base64 docker curl; do command -v "$tool" >/dev/null || { echo "this host lacks $tool" >&2; exit 1; }; done',
  'docker image inspect "$IMAGE" >/dev/null 2>&1 || docker pull "$IMAGE"',
  `opened ${fileOf(artifacts.metadata)} | gzip -dc | tar -tf - >"$WORK/metadata"`,
  `opened ${fileOf(artifacts.tags)} | gzip -dc >"$WORK/tags.jsonl"`,
  `opened ${fileOf(artifacts.blobs)} | gzip -dc >"$WORK/blobs.jsonl"`,
  '# Segment, SHA-256 and path of each blob.',
  'sed -nE \'s/^\\{"path":"(docker\\/[^"\\\\]+)","size":[0-9]+,"sha256":"([0-9a-f]{64})","segment":"([0-9A-Za-z-]+)"\\}$/\\3 \\2 \\1/p\' "$WORK/blobs.jsonl" | LC_ALL=C sort >"$WORK/blobs"',
  `[ "$(wc -l <"$WORK/blobs")" = ${counts.blobs} ]`,
  ')',
])}`;
}

function end(): string {
  return `## End

${shellBlock(['{', 'rm -rf "$WORK"', 'unset PASSPHRASE UCP_PASSWORD', '}'])}`;
}
