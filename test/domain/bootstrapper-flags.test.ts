import assert from 'node:assert/strict';
import { isAtLeast, joinFlags, nfsFlagErasesTags, restoreFlags, storageFlags } from '../../domain/bootstrapper-flags';
import type { Storage } from '../../domain/manifest';
import { decisions, manifest } from './restore-fixtures';

const NFS: Storage = { kind: 'nfs', nfsUrl: 'nfs://nas/export', nfsOptions: 'rw,nfsvers=4' };
const volume = { name: 'dtr-registry-nfs-000000000001', driver: 'local', options: {} };

function storage(version: string, kind: Storage, crons: string[] = []): string[] {
  return storageFlags({ version, storage: kind, volume, crons: crons.map((action) => ({ action })) });
}

describe('flags of the bootstrapper', () => {
  it('compares versions by number and not by text', () => {
    assert.equal(isAtLeast('2.10.1', 9), true);
    assert.equal(isAtLeast('2.6.3', 6, 4), false);
    assert.equal(isAtLeast('2.6.4', 6, 4), true);
    assert.equal(isAtLeast('3.0.0', 9), true);
    assert.equal(isAtLeast('2.5.21-tp1', 5, 21), true);
  });

  it('give exactly one storage flag from 2.6 on, and none for a local volume before', () => {
    assert.deepEqual(storage('2.9.4', { kind: 'local' }), ['--dtr-use-default-storage']);
    assert.deepEqual(storage('2.6.0', { kind: 'external', external: 'S3' }), ['--dtr-use-default-storage']);
    assert.deepEqual(storage('2.5.3', { kind: 'local' }), []);
    assert.deepEqual(storage('2.5.3', { kind: 'volume', storageVolume: '/data' }), ['--dtr-storage-volume', '/data']);
  });

  it('pass NFS options only where restore knows them', () => {
    assert.deepEqual(storage('2.9.4', NFS), ['--nfs-storage-url', 'nfs://nas/export', '--nfs-options', 'rw,nfsvers=4']);
    assert.deepEqual(storage('2.7.2', NFS), ['--nfs-storage-url', 'nfs://nas/export']);
    assert.deepEqual(storage('2.5.3', NFS), ['--nfs-storage-url', 'nfs://nas/export']);
  });

  it('name the volume instead of the NFS server where that flag would erase all tags', () => {
    assert.equal(nfsFlagErasesTags({ version: '2.6.3', crons: [] }), true);
    assert.equal(nfsFlagErasesTags({ version: '2.6.4', crons: [{ action: 'onlinegc' }] }), false);
    assert.equal(nfsFlagErasesTags({ version: '2.5.3', crons: [{ action: 'gc' }] }), false);
    assert.equal(nfsFlagErasesTags({ version: '2.5.3', crons: [{ action: 'onlinegc' }] }), true);
    assert.equal(nfsFlagErasesTags({ version: '2.4.1', crons: [{ action: 'onlinegc' }] }), false);
    assert.deepEqual(storage('2.6.2', NFS), ['--dtr-storage-volume', volume.name]);
  });

  it('give restore every setting, and leave out what was empty', () => {
    const settings = { ...manifest().product.settings, httpsProxy: 'http://proxy:3128', noProxy: 'ucp', logLevel: 'DEBUG' };
    const flags = restoreFlags(decisions(), settings);
    assert.deepEqual(flags, [
      '--replica-id', '000000000001', '--ucp-node', 'node-1', '--replica-http-port', '80', '--replica-https-port', '443',
      '--dtr-external-url', 'https://dtr.example.com', '--dtr-use-default-storage',
      '--https-proxy', 'http://proxy:3128', '--no-proxy', 'ucp', '--log-protocol', 'internal', '--log-level', 'DEBUG',
    ]);
  });

  it('join a replica under its own id, node and ports', () => {
    const { first } = decisions();
    assert.deepEqual(joinFlags(first, { id: '000000000002', node: 'node-2', httpPort: 8080, httpsPort: 8443 }), [
      '--existing-replica-id', '000000000001', '--replica-id', '000000000002', '--ucp-node', 'node-2', '--replica-http-port', '8080', '--replica-https-port', '8443',
    ]);
  });
});
