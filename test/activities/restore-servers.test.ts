import assert from 'node:assert/strict';
import type { ExecResult, Host } from '../../adapters/host/host';
import { checkMount, differenceOn, type VolumeSpec } from '../../activities/restore/volume';
import { isSameServer, parseSource } from '../../activities/restore/servers';
import { failure } from '../helpers/failure';

const ROOT = '/var/lib/docker/volumes/dtr-registry-0/_data';
const NAMES: Record<string, string[]> = { nas: ['10.0.0.9', '10.0.0.10'], 'nas.example.com': ['10.0.0.10'], other: ['10.0.0.11'], v6: ['fd00::9'] };

/** A host that resolves names and shows one mount. */
function hostWith(source = '', superOptions = 'rw'): Host {
  const answers = (command: string[]): ExecResult => {
    if (command[0] === 'getent') return { code: NAMES[command[2]!] ? 0 : 2, stdout: (NAMES[command[2]!] ?? []).map((number) => `${number}  STREAM ${command[2]}\n`).join(''), stderr: '' };
    return { code: 0, stdout: `36 35 0:32 / ${ROOT} rw shared:1 - nfs4 ${source} ${superOptions}\n`, stderr: '' };
  };
  return { name: 'node-1', exec: (command) => Promise.resolve(answers(command)), spawn: () => Promise.reject(new Error('not here')), close: () => Promise.resolve() };
}
const nfs = (device: string, o: string): VolumeSpec => ({ name: 'dtr-registry-0', driver: 'local', options: { type: 'nfs', device, o } });

describe('a mount that is given by name and shown by number', () => {
  for (const [volume, source, options] of [
    [nfs(':/export', 'addr=nas,rw'), ':/export', 'rw,vers=3,addr=10.0.0.10'],
    [nfs('nas:/export', 'addr=nas,rw'), 'nas:/export', 'rw,addr=10.0.0.9'],
    [nfs('nas:/export/', 'rw'), '10.0.0.9:/export', 'rw'],
    [nfs(':/export', 'addr=10.0.0.10'), 'nas.example.com:/export', 'rw'],
    [nfs(':/export', 'addr=v6'), '[FD00:0:0:0::9]:/export', 'rw'],
    [nfs('//nas/share', 'addr=nas'), '//10.0.0.10/share', 'rw,addr=10.0.0.10'],
  ] as const) {
    it(`is the same: ${volume.options.device} (${volume.options.o}) as ${source} (${options})`, async () => {
      await checkMount({ host: hostWith(source, options), volume, root: ROOT });
    });
  }

  for (const [volume, source, options, why] of [
    [nfs(':/export', 'addr=nas'), ':/export', 'rw,addr=10.0.0.11', /it comes from :\/export at 10\.0\.0\.11, expected the server nas/],
    [nfs('nas:/export', 'rw'), 'other:/export', 'rw', /its source is other:\/export, expected nas:\/export/],
    [nfs('nas:/export', 'rw'), 'nas:/other/export', 'rw', /its source is/],
    [nfs('/export', 'addr=nas'), '/other/export', 'rw', /its source is/],
    [nfs(':/export', 'addr=unknown'), ':/export', 'rw,addr=10.0.0.9', /expected the server unknown/],
  ] as const) {
    it(`is another: ${volume.options.device} (${volume.options.o}) than ${source} (${options})`, async () => {
      assert.match((await failure(checkMount({ host: hostWith(source, options), volume, root: ROOT }), 'Conflict')).message, why);
    });
  }

  it('makes no difference between two volumes either, where all else is the same', async () => {
    const host = hostWith();
    assert.equal(await differenceOn(host, nfs(':/export', 'addr=10.0.0.10,rw'), nfs(':/export', 'addr=nas,rw')), null);
    assert.equal(await differenceOn(host, nfs('nas:/export', 'rw'), nfs('nas.example.com:/export', 'rw')), null);
    assert.match((await differenceOn(host, nfs(':/export', 'addr=10.0.0.10,ro'), nfs(':/export', 'addr=nas,rw'))) ?? '', /o is "addr=nas,ro", expected "addr=nas,rw"/);
    assert.match((await differenceOn(host, nfs(':/export', 'addr=other'), nfs(':/export', 'addr=nas'))) ?? '', /o is "addr=other", expected "addr=nas"/);
  });

  it('reads what is mounted in each of its forms', async () => {
    assert.deepEqual(parseSource('[fd00::9]:/a/'), { server: 'fd00::9', path: '/a' });
    assert.deepEqual(parseSource('/dev/sdb1'), { server: '', path: '/dev/sdb1' });
    assert.deepEqual(parseSource('nas:/'), { server: 'nas', path: '/' });
    assert.equal(await isSameServer(hostWith(), 'NAS', 'nas'), true);
    assert.equal(await isSameServer(hostWith(), 'unknown', 'other'), false);
  });
});
