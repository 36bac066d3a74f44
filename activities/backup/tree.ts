import { streamTree } from '../../adapters/images/tree';
import { writeArtifact } from '../../adapters/vault/artifacts';
import type { ArtifactRef } from '../../domain/manifest';
import { parseAliasLink, parseTagLink } from '../../domain/proof';
import { report } from '../pulse';
import { ownArtifact } from './artifact';
import type { Copying } from './copy-images';
import { WORK, type WorkFiles } from './work-files';

/** Stores the whole link tree as an artifact; its tag links and what it says of digests of other algorithms go into working files for the proof. */
export async function takeTree({ cluster, step, host, root, signal }: Copying, work: WorkFiles): Promise<ArtifactRef> {
  const name = ownArtifact(cluster, step, 'tree.tar.gz.gpg');
  const links = work.create(WORK.links);
  const aliases = work.create(WORK.aliases);
  const source = streamTree(host, root, {
    signal,
    stallMs: cluster.config.policy.stallSeconds * 1000,
    onLink: (path, content) => {
      const link = parseTagLink(path, content);
      // An error of the worker's disk comes again at the end of the list.
      if (link) links.add(link)?.catch(() => undefined);
      const alias = link ? null : parseAliasLink(path, content);
      if (alias) aliases.add(alias)?.catch(() => undefined);
    },
  });
  try {
    const artifact = await writeArtifact(cluster.vault, name, await cluster.encryptionKeys(), source, {
      gzip: true,
      signal,
      onProgress: (bytesDone) => report({ phase: 'copying the link tree', bytesDone }),
    });
    await links.end();
    await aliases.end();
    return artifact;
  } finally {
    await links.abort();
    await aliases.abort();
  }
}
