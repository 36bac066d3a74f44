/** The steps of `RESTORE.md` that the vendor's bootstrapper and the registry's API carry out. */
import { joinFlags, nfsFlagErasesTags, restoreFlags } from '../../domain/bootstrapper-flags';
import type { DtrProduct, Manifest, Replica } from '../../domain/manifest';
import { fileOf } from '../../domain/manifest-artifacts';
import { storageOf, volumeOf } from '../../domain/manifest-images';
import type { GuideFacts } from './restore-guide';
import { flagLines, longCommand, shellBlock, shellValue } from './restore-guide-shell';

/** The point of no return. Replicas that were installed after the backup are the reader's to name. */
export function destroyStep({ manifest }: GuideFacts): string {
  const { replicas } = manifest.product;
  return `## 3. Destroy what is left of the old replicas: the point of no return

It deletes containers, metadata **and images** of ${replicas.map(({ id, node }) => `${id} on ${node}`).join(', ')}. Hosts that do not answer must be off, and stay off.
A replica that was joined after this backup is added to the list by hand.

${shellBlock([
  '(',
  "step 'old replicas destroyed'",
  "read -rp 'Type destroy to go on: ' ANSWER",
  '[ "$ANSWER" = destroy ]',
  `for id in ${replicas.map(({ id }) => id).join(' ')}; do`,
  '  bootstrapper destroy --replica-id "$id" </dev/null || echo "Replica $id: nothing of it is there, or see the lines above." >&2',
  'done',
  '# Nothing of the replica that is restored may be left on this host.',
  '[ -z "$(docker ps --all --quiet --filter "name=dtr-.*-$REPLICA")" ]',
  ')',
])}`;
}

/** The vendor's `restore`, with every setting given, then health. */
export function metadataStep({ manifest }: GuideFacts): string {
  const { product: dtr, artifacts } = manifest;
  return `## 5. Metadata

${shellBlock([
  '(',
  "step 'metadata'",
  `${longCommand(`opened ${fileOf(artifacts.metadata)} | gzip -dc | bootstrapper restore`, flagLines(flagsOf(manifest)), ' 2>&1 | tee "$WORK/restore.log"')}`,
  "# The exit status alone proves nothing.",
  'grep -q "Restore complete" "$WORK/restore.log"',
  'healthy() { docker inspect --format "{{.State.Health.Status}}" "dtr-nginx-$REPLICA"; }',
  'for look in $(seq 120); do if [ "$(healthy)" = healthy ]; then break; fi; sleep 5; done',
  '[ "$(healthy)" = healthy ]',
  ')',
])}
If the registry had a certificate of its own (SHA-256 ${dtr.settings.certificateFingerprint === '' ? 'unknown' : dtr.settings.certificateFingerprint}), give it: its parts stand in the metadata, in the
documents below \`rethink/properties\` with the keys \`webTLSCA\`, \`webTLSCert\` and \`webTLSKey\`; export them as DTR_CA, DTR_CERT and DTR_KEY and add \`--env DTR_CA --env DTR_CERT --env DTR_KEY\` to \`docker run\` in \`bootstrapper\`.
When the restore breaks off: \`bootstrapper destroy --replica-id $REPLICA </dev/null\`, then steps 4 and 5 again.
`;
}

/** Through the external URL, as a client would. */
export function pullStep({ manifest, dtrCa }: GuideFacts): string {
  const { externalUrl } = manifest.product.settings;
  const registry = externalUrl.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  if (registry === '' || manifest.images.in === 'elsewhere') return '';
  return `## 6. Pull one image of every repository by digest

${externalUrl} must lead to this host by now. An image that was made for other platforms only cannot be pulled here; that is no fault of the backup.

${shellBlock([
  '(',
  "step 'images pulled'",
  `REGISTRY=${shellValue(registry)}`,
  ...(dtrCa === null ? [] : ['mkdir -p "/etc/docker/certs.d/$REGISTRY"', `printf '%s\\n' ${shellValue(dtrCa.trim())} >"/etc/docker/certs.d/$REGISTRY/ca.crt"`]),
  'export DOCKER_CONFIG="$WORK/docker"',
  '# As docker login writes it, which takes a password by a pipe only from 17.07 on.',
  'mkdir -p "$DOCKER_CONFIG"',
  `printf '{"auths":{"%s":{"auth":"%s"}}}\\n' "$REGISTRY" "$(printf '%s:%s' "$UCP_USERNAME" "$UCP_PASSWORD" | base64 | tr -d '\\n')" >"$DOCKER_CONFIG/config.json"`,
  'sed -nE \'s/^\\{"repository":"([^"\\\\]+)","name":"[^"\\\\]+","digest":"(sha256:[0-9a-f]{64})","state":"whole".*/\\1@\\2/p\' "$WORK/tags.jsonl" | sort -u -t @ -k 1,1 >"$WORK/pulls"',
  'while read -r image; do',
  '  docker pull "$REGISTRY/$image" </dev/null >/dev/null',
  '  docker image rm "$REGISTRY/$image" >/dev/null',
  'done <"$WORK/pulls"',
  'rm -rf "$DOCKER_CONFIG"',
  ')',
])}`;
}

/** One block for each further replica. */
export function joinStep({ manifest }: GuideFacts): string {
  const { product: dtr } = manifest;
  const first = firstOf(dtr);
  const others = dtr.replicas.filter(({ id }) => id !== dtr.replica);
  if (others.length === 0) return '';
  return `## 7. Join the other replicas, one at a time

${volumeOnOthers(manifest, others)}A join that broke off half-way: \`bootstrapper remove --existing-replica-id $REPLICA --replica-ids ID </dev/null\`, then its block again.

${others
  .map((replica) =>
    shellBlock([
      '(',
      `step 'replica ${replica.id} joined'`,
      `joined() { ${longCommand('bootstrapper join', flagLines(joinFlags(first, replica)), ' </dev/null 2>&1 | tee "$WORK/join.log"; grep -q "Join is complete" "$WORK/join.log"; }')}`,
      '# A cluster that is not healthy yet refuses, and nothing has been changed then.',
      'for attempt in $(seq 20); do if joined; then exit 0; fi; if ! grep -q "not working correctly" "$WORK/join.log"; then exit 1; fi; sleep 15; done',
      'exit 1',
      ')',
    ]),
  )
  .join('\n')}`;
}

/** What the backup had frozen, and what it never held. */
export function afterwardsStep({ manifest, dtrCa, readOnlyInside }: GuideFacts): string {
  const { product: dtr } = manifest;
  const { settings } = dtr;
  const calls = [
    ...(readOnlyInside ? [call('POST', 'meta/settings', JSON.stringify({ readOnlyRegistry: settings.readOnlyRegistry }))] : []),
    ...(settings.scanningEnabled && settings.scanningSyncOnline ? ["api PUT 'imagescan/scan/update?online=true' || echo 'the vulnerability database was not updated: images work without it'"] : []),
    ...dtr.crons.map(({ action, schedule, retries, parameters, deadline }) => call('POST', 'crons', JSON.stringify({ action, schedule, retries, parameters: parameters ?? {}, deadline }))),
  ];
  const vulnerabilities = settings.scanningEnabled && !settings.scanningSyncOnline ? '\nLoad the vulnerability database from a file, in the web interface: it is in no backup.\n' : '';
  if (calls.length === 0) return `## 8. Afterwards\n\nNo collection was scheduled; nothing has to be put back.\n${vulnerabilities}`;
  return `## 8. Afterwards: only when all is well

${dtr.crons.length > 0 ? `The crons that delete were off in the metadata (${dtr.crons.map(({ action, schedule }) => `${action}: \`${schedule}\``).join(', ')}). The first collection after this deletes what was pushed after the backup and might still be salvaged.\n` : ''}${vulnerabilities}
${shellBlock([
  '(',
  "step 'settings put back'",
  `URL=${shellValue(settings.externalUrl.replace(/\/+$/, ''))}`,
  ...(dtrCa === null ? [] : [`printf '%s\\n' ${shellValue(dtrCa.trim())} >"$WORK/dtr-ca.pem"`]),
  "escaped() { printf '%s' \"$1\" | sed 's/[\\\\\"]/\\\\&/g'; }",
  `api() { curl --silent --show-error --fail${dtrCa === null ? '' : ' --cacert "$WORK/dtr-ca.pem"'} --config <(printf 'user = "%s:%s"\\n' "$(escaped "$UCP_USERNAME")" "$(escaped "$UCP_PASSWORD")") --request "$1" --header 'Content-Type: application/json' \${3:+--data "$3"} "$URL/api/v0/$2"; echo; }`,
  ...calls,
  ')',
])}`;
}

function call(method: string, path: string, body: string): string {
  return `api ${method} ${path} ${shellValue(body)}`;
}

/** As `drydock restore` gives them. */
function flagsOf({ product: dtr, images }: Manifest): string[] {
  const { version, settings } = dtr;
  const flags = restoreFlags({ first: firstOf(dtr), externalUrl: settings.externalUrl, storage: storageOf(images), version, volume: volumeOf(images), crons: dtr.crons }, settings);
  const url = flags.indexOf('--dtr-external-url');
  return settings.externalUrl === '' && url >= 0 ? flags.toSpliced(url, 2) : flags;
}

function firstOf(dtr: DtrProduct): Replica {
  // A backup is made from a member; one without a row of its own would be damage.
  return dtr.replicas.find(({ id }) => id === dtr.replica) ?? { id: dtr.replica, node: dtr.replicas[0]!.node, httpPort: 80, httpsPort: 443 };
}

/** Where the cluster knows its storage by a volume's name, every node needs that volume. */
function volumeOnOthers({ product: { version, crons }, images }: Manifest, others: Replica[]): string {
  const [storage, volume] = [storageOf(images), volumeOf(images)];
  const named = storage.kind === 'volume' || (storage.kind === 'nfs' && nfsFlagErasesTags({ version, crons }));
  if (!named || volume === null || volume.name.startsWith('/')) return '';
  const options = Object.entries(volume.options).map(([key, value]) => ` --opt ${shellValue(`${key}=${value}`)}`).join('');
  return `First, on each of ${others.map(({ node }) => node).join(', ')}: \`docker volume create --driver ${shellValue(volume.driver)}${options} ${shellValue(volume.name)}\`.\n`;
}
