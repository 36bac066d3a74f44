import type { Manifest } from '../../domain/manifest';
import { isPassphrase } from '../../domain/vault-format';

/** `RESTORE.md`: how a person without Drydock restores this very backup, with gpg, tar, sha256sum and docker. Names no repository. */
export function restoreGuide(manifest: Manifest): string {
  return [head(manifest), opening(manifest), images(manifest), metadata(manifest), after(manifest)].filter((part) => part !== '').join('\n');
}

function head({ backupId, cluster, status, dtr, ucp, counts, sealedAt }: Manifest): string {
  return `# Restore backup ${backupId} of ${cluster} by hand

- ${status === 'complete' ? 'Complete' : `INCOMPLETE: ${counts.gaps} gaps, see "gaps" in manifest.json`}, sealed ${sealedAt}.
- DTR ${dtr.version}, made from replica ${dtr.replica}; bootstrapper \`${dtr.bootstrapperImage}\`. Only the same version restores it.
- UCP at ${ucp.url}, cluster id ${ucp.clusterId}. The target must be this UCP, or one restored from its backup: repositories belong to its accounts.
- ${counts.repositories} repositories, ${counts.tags} tags, ${counts.blobs} blobs. All details stand in \`manifest.json\`.

With Drydock: \`drydock restore ${cluster} --backup ${backupId}\`. Without it, go on here. The commands are for a shell with \`set -euo pipefail\`.
`;
}

function opening({ artifacts }: Manifest): string {
  const byPassphrase = artifacts.metadata.recipients.some(isPassphrase);
  const keys = artifacts.metadata.recipients.filter((name) => !isPassphrase(name));
  const ways = [...(byPassphrase ? ['the passphrase (`gpg` asks; or `--batch --pinentry-mode loopback --passphrase-file FILE`)'] : []), ...keys.map((key) => `the private key ${key}`)];
  return `## 1. Is it whole, and does it open?

Opened by ${ways.join(', or ')}. In the folder of this file, with the vault's folders beside it as they are:

    sha256sum -c SHA256SUMS
    gpg --decrypt metadata.tar.gz.gpg | gzip -dc | tar -tf - | head
`;
}

function images({ dtr, segments, artifacts }: Manifest): string {
  const { storage, volume } = dtr;
  if (!volume) return `## 2. Images\n\nThey are not in this backup: ${storage.external ?? 'they are kept elsewhere'}.\n`;
  const folder = 'ROOT';
  const options = Object.entries(volume.options).map(([name, value]) => ` --opt '${name}=${value}'`).join('');
  const create = volume.driver === 'bind' ? `mkdir -p '${volume.name}'    # ROOT is this folder` : `docker volume create --driver ${volume.driver}${options} ${volume.name}\n    docker volume inspect --format '{{.Mountpoint}}' ${volume.name}    # this is ROOT`;
  const mounted = Object.keys(volume.options).length > 0 ? `\nThis volume is a mount: hold it open with a container that uses it (\`docker run -d -v ${volume.name}:/storage IMAGE sleep 1d\`) while you write, or what you write is hidden later.\n` : '';
  const list = segments.map(({ segment }) => `    gpg --decrypt ../../segments/${segment}.tar.gpg | tar -C ${folder} -xf -`).join('\n');
  return `## 2. Images, before the metadata, on the node of the replica

First destroy what is left of the old replicas (\`${dtr.bootstrapperImage} destroy\`, once for each), because that deletes volumes; then

    ${create}
${mounted}
Unpack the link tree, then every segment, in this order (later copies replace earlier ones):

${artifacts.tree ? `    gpg --decrypt tree.tar.gz.gpg | gzip -dc | tar -C ${folder} --numeric-owner -xpf -\n` : ''}${list === '' ? '    # no segment: the registry was empty' : list}
    chown -R ${volume.owner.uid}:${volume.owner.gid} ${folder} && chmod ${volume.mode} ${folder}

Segments may hold more blobs than this backup needs; a collection after the restore removes them. Check what this backup needs:

    gpg --decrypt blobs.jsonl.gz.gpg | gzip -dc | sed -E 's/.*"path":"([^"]*)".*"sha256":"([0-9a-f]{64})".*/\\2  \\1/' > /tmp/blobs.sha256
    (cd ${folder} && sha256sum --quiet -c /tmp/blobs.sha256)
`;
}

function metadata({ dtr, ucp }: Manifest): string {
  const replica = dtr.replicas.find(({ id }) => id === dtr.replica);
  const { settings } = dtr;
  const flags = [
    `--ucp-url ${ucp.url}`,
    `--ucp-node ${replica?.node ?? 'NODE'}`,
    `--replica-id ${dtr.replica}`,
    ...(settings.externalUrl === '' ? [] : [`--dtr-external-url ${settings.externalUrl}`]),
    `--replica-http-port ${replica?.httpPort ?? 80} --replica-https-port ${replica?.httpsPort ?? 443}`,
    ...storageFlags(dtr),
    ...[['http-proxy', settings.httpProxy], ['https-proxy', settings.httpsProxy], ['no-proxy', settings.noProxy], ['log-protocol', settings.logProtocol], ['log-host', settings.logHost], ['log-level', settings.logLevel]].flatMap(
      ([name, value]) => (value ? [`--${name} '${value}'`] : []),
    ),
  ];
  return `## 3. Metadata

    read -rp 'UCP administrator: ' UCP_USERNAME; read -rsp 'Password: ' UCP_PASSWORD; UCP_CA=$(curl -k ${ucp.url}/ca)
    export UCP_USERNAME UCP_PASSWORD UCP_CA
    gpg --decrypt metadata.tar.gz.gpg | gzip -dc | docker run --log-driver none -i --rm \\
      --env UCP_USERNAME --env UCP_PASSWORD --env UCP_CA ${dtr.bootstrapperImage} restore \\
      ${flags.join(' \\\n      ')}

It must log \`Restore complete.\`; its exit status alone proves nothing. Compare the CA that curl fetched with one you trust. If the registry had its own certificate
(SHA-256 ${settings.certificateFingerprint}), add \`--dtr-ca\`, \`--dtr-cert\` and \`--dtr-key\`. When the restore breaks off: \`destroy\`, then steps 2 and 3 again.
`;
}

function storageFlags({ storage, version }: Manifest['dtr']): string[] {
  const hasDefaultFlag = Number(version.split('.')[1] ?? 0) >= 6;
  switch (storage.kind) {
    case 'nfs':
      return [`--nfs-storage-url ${storage.nfsUrl}`];
    case 'volume':
      return [`--dtr-storage-volume ${storage.storageVolume}`];
    case 'local':
    case 'external':
      return hasDefaultFlag ? ['--dtr-use-default-storage'] : [];
  }
}

function after({ dtr }: Manifest): string {
  const others = dtr.replicas.filter(({ id }) => id !== dtr.replica);
  const joins = others.map(({ id, node, httpPort, httpsPort }) => `    ... ${dtr.bootstrapperImage} join --existing-replica-id ${dtr.replica} --ucp-node ${node} --replica-id ${id} --replica-http-port ${httpPort} --replica-https-port ${httpsPort}`);
  const crons = dtr.crons.map(({ action, schedule }) => `    ${action}: ${schedule}`);
  return `## 4. Afterwards

1. \`/_ping\` of the replica must say \`"Healthy":true\`; pull some images by digest (\`gpg --decrypt tags.jsonl.gz.gpg | gzip -dc\` lists them).
${joins.length === 0 ? '2. There was one replica only.' : `2. Join the other replicas, one at a time, each healthy before the next:\n\n${joins.join('\n')}`}
${crons.length === 0 ? '3. No collection was scheduled.' : `3. Only when all is well, set these crons again (they were off in the metadata): the first collection deletes what was pushed after this backup.\n\n${crons.join('\n')}`}
4. Where scanning was on, the vulnerability database has to be downloaded again.
`;
}
