/** DTR, its registry and UCP of a stand-in cluster. */
import { createHash } from 'node:crypto';
import type { Dtr } from '../../adapters/dtr/dtr';
import type { Registry } from '../../adapters/registry/registry';
import type { Ucp } from '../../adapters/ucp/ucp';
import { DrydockError } from '../../domain/errors';
import { FIRST, SECOND, TREE, VERSION, type World } from './world';

const CONTENT = new Map([...TREE.content.values()].map((data) => [`sha256:${createHash('sha256').update(data).digest('hex')}`, data]));

/** DTR answers while a whole replica runs on a node that is there. */
export function standInDtr(world: World): Dtr {
  const up = (): void => {
    if (![FIRST.id, SECOND.id].some((id) => world.isHealthy(id))) throw new DrydockError('RegistryUnavailable', 'DTR does not answer', { remedy: 'start it' });
  };
  const answer = <T>(value: () => T): Promise<T> => Promise.resolve().then(() => {
    up();
    return value();
  });
  return {
    url: 'https://dtr.example',
    clockOffsetMs: 0,
    ping: () => answer(() => ({ healthy: true, error: '' })),
    health: () => answer(() => ({ healthy: true, error: '' })),
    clusterStatus: () => answer(() => {
      const ids = Object.keys(world.settings.replicaSettings as object);
      return {
        replicaHealth: Object.fromEntries(ids.map((id) => [id, world.isHealthy(id) ? 'OK' : 'away'])),
        replicaTimestamp: Object.fromEntries(ids.map((id) => [id, new Date().toISOString()])), replicaReadonly: {}, gcLockHolder: '',
      };
    }),
    version: () => answer(() => VERSION),
    settings: () => answer(() => structuredClone(world.settings)),
    updateSettings: (partial) => answer(() => void Object.assign(world.settings, partial)),
    crons: () => answer(() => [...world.crons.values()]),
    cron: (action) => answer(() => world.crons.get(action) ?? null),
    putCron: (cron) => answer(() => world.setCron(cron)),
    deleteCron: (action) => answer(() => void world.crons.delete(action)),
    jobs: () => answer(() => []),
    job: () => answer(() => null),
    startJob: () => answer(() => 'job'),
    repositories: () => answer(() => [...new Set(TREE.tags.map(({ repository }) => repository))].map((repository) => {
      const [namespace = '', name = ''] = repository.split('/');
      return { namespace, name, visibility: 'private' };
    })),
    tags: (namespace, name) => answer(() => TREE.tags.filter(({ repository }) => repository === `${namespace}/${name}`).map(({ tag, digest }) => ({ name: tag, digest: `sha256:${digest}` }))),
    teamAccess: () => answer(() => []),
    namespaceAccess: () => answer(() => []),
    imagescanStatus: () => answer(() => null),
    updateVulnerabilityDatabase: () => answer(() => undefined),
    certificateFingerprint: () => answer(() => 'AA:BB'),
    close: async () => undefined,
  };
}

export function standInRegistry(): Registry {
  const required = (digest: string): Buffer => {
    const found = CONTENT.get(digest);
    if (found === undefined) throw new DrydockError('NotFound', `no ${digest}`);
    return found;
  };
  return {
    manifest: async (_repository, digest) => ({ digest, mediaType: '', body: required(digest) }),
    checkBlob: async (_repository, digest) => required(digest).length,
    close: async () => undefined,
  };
}

export function standInUcp(): Ucp {
  return {
    url: 'https://ucp.example',
    login: async () => undefined,
    isAdmin: async () => true,
    id: async () => 'ucp-id',
    ping: async () => true,
    ca: async () => 'ca',
    accounts: async () => [],
    fetchBundle: async () => Buffer.alloc(0),
    close: async () => undefined,
  };
}
