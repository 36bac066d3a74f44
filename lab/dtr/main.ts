import { bootstrapper } from './bootstrapper/main';
import { endProcess } from './common/end';
import { messageOf, serviceLog } from './common/log';
import { startApi } from './services/api/main';
import { contextFrom, type Context } from './services/context';
import { startGarant } from './services/garant';
import { startJobrunner } from './services/jobrunner/main';
import { startNginx } from './services/nginx';
import { startRegistryByDigest } from './services/registry/by-digest';
import { startRegistryById } from './services/registry/by-id';
import { startScanningStore } from './services/scanningstore';

type Service = (context: Context) => void | Promise<void>;

/** One bundle is in all images of the stand-in; DTR_ROLE, set by the image, says which part this container is. */
const SERVICES: Record<string, Service> = {
  api: startApi,
  garant: startGarant,
  jobrunner: startJobrunner,
  nginx: startNginx,
  registry: (context) => (context.blobsById ? startRegistryById(context) : startRegistryByDigest(context)),
  scanningstore: () => startScanningStore(),
};

async function main(): Promise<void> {
  const role = process.env.DTR_ROLE ?? '';
  if (role === 'bootstrapper') {
    // Kept connections would hold the process for seconds if it were left to end by itself.
    return endProcess(await bootstrapper(process.argv.slice(2), process.env));
  }
  const service = SERVICES[role];
  if (service === undefined) throw new Error(`no service is called ${role}`);
  // The first process of a container gets no default handling of signals.
  if (role !== 'nginx') process.on('SIGTERM', () => process.exit(0));
  await service(contextFrom(process.env));
}

main().catch((error: unknown) => {
  serviceLog(`fatal: ${messageOf(error)}`);
  process.exit(1);
});
