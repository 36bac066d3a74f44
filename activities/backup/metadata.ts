import { Context } from '@temporalio/activity';
import { MetadataReader } from '../../adapters/archive/metadata';
import { writeArtifact } from '../../adapters/vault/artifacts';
import { DrydockError } from '../../domain/errors';
import type { ArtifactRef } from '../../domain/manifest';
import { readRow, type MetadataRow } from '../../domain/rows';
import { runBootstrapper, type LogLine } from '../bootstrapper';
import type { Cluster } from '../cluster';
import type { BackupFacts, BackupStep, MetadataTaken } from '../contract';
import { report } from '../pulse';
import { ownArtifact, withdraw } from './artifact';
import { ignoreFlags } from './metadata-flags';
import { registryNow } from './replicas';
import { WORK, WorkFiles } from './work-files';

/** How often an archive that is cut short is made before it counts as damaged. */
const ATTEMPTS = 4;

export type MetadataStep = BackupStep & { facts: BackupFacts; round: number };

/** Step 5: runs the vendor's backup command, and parses, counts, hashes, encrypts and stores its archive while it streams. */
export async function takeMetadata(cluster: Cluster, step: MetadataStep): Promise<MetadataTaken> {
  const { facts } = step;
  const work = await WorkFiles.open(cluster, step);
  const name = ownArtifact(cluster, step, 'metadata.tar.gz.gpg');
  // The second pass must never go by the rows of an earlier round.
  await work.remove(WORK.rows, WORK.blobLinks);
  const [rows, links] = [work.create(WORK.rows), work.create(WORK.blobLinks)];
  const dtr = await cluster.dtr();
  const dumpStartedAt = await registryNow(dtr);
  try {
    const { artifact, reader, log } = await dump(cluster, step, name, (row) => (row.table === 'blob_links' ? links : rows).add(row));
    refuseErrors(log, facts);
    await links.end();
    await rows.end();
    const { root, online, tables, documents } = reader.summary();
    return { artifact, root, online, tables, documents, dumpStartedAt: iso(dumpStartedAt), dumpEndedAt: iso(await registryNow(dtr)) };
  } catch (error) {
    // What the archive's own end does not show, status and log do: then it must not stay.
    await withdraw(cluster, step, name);
    throw error;
  } finally {
    await links.abort();
    await rows.abort();
  }
}

async function dump(cluster: Cluster, step: MetadataStep, name: string, keep: (row: MetadataRow) => Promise<void> | undefined): Promise<{ artifact: ArtifactRef; reader: MetadataReader; log: LogLine[] }> {
  const { facts } = step;
  const reader = new MetadataReader(
    (table, row) => {
      const found = readRow(table, row);
      return found ? keep(found) : undefined;
    },
    { expectedVersion: facts.version },
  );
  const keys = await cluster.encryptionKeys();
  let artifact: ArtifactRef | undefined;
  let damaged: DrydockError | undefined;
  const { lines } = await runBootstrapper(cluster, {
    image: facts.bootstrapperImage,
    command: 'backup',
    args: ['--existing-replica-id', facts.replica.id, ...ignoreFlags(cluster.config.bootstrapper, facts.version).flags],
    ...(facts.replica.node === '' ? {} : { node: facts.replica.node }),
    operation: step.operation,
    expect: 'Backup complete.',
    onStdout: async (stdout) => {
      try {
        artifact = await writeArtifact(cluster.vault, name, keys, stdout, {
          gzip: true, through: reader, spool: await cluster.workDir(step.operation), signal: cluster.signal, onProgress: (bytesDone) => report({ phase: 'metadata', bytesDone }),
        });
      } catch (error) {
        // An archive that is cut short is the consequence; the command's log, which is still to come, may tell the cause.
        if (!(error instanceof DrydockError && error.kind === 'IntegrityMismatch')) throw error;
        damaged = error;
      }
    },
  });
  if (damaged) throw worthAnotherTry(damaged);
  if (!artifact) throw new DrydockError('BootstrapperFailed', 'the backup command ended without an archive', { remedy: 'look at the node, then start the backup again' });
  return { artifact, reader, log: lines };
}

/**
 * The command says that all went well and the archive is cut: an engine gives up on the last bytes of a container that has ended when nobody
 * takes them for two seconds (moby, `handleContainerExit`), and says nothing. Between the container and us there may be a proxy, and another engine
 * with phase 2, so that it can happen whatever we do. The next attempt gets them; what is damaged in another way, or each time, is not made again.
 */
function worthAnotherTry(damaged: DrydockError): DrydockError {
  if (damaged.details?.cutShort !== true || Context.current().info.attempt >= ATTEMPTS) return damaged;
  return new DrydockError('EngineUnavailable', `the engine did not deliver the whole archive: ${damaged.message}`, { remedy: 'it is made again', cause: damaged });
}

/** The command may end with status 0 and its last line after it said that something was left out. */
function refuseErrors(log: LogLine[], facts: BackupFacts): void {
  const bad = log.find(({ level, message }) => level === 'error' || /backup may be incomplete/i.test(message));
  if (bad) throw new DrydockError('BootstrapperFailed', `backup of ${facts.bootstrapperImage} reported: ${bad.message}`, { remedy: 'mend what the line names, then start the backup again' });
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
