import assert from 'node:assert/strict';
import { parseLogLine } from '../../activities/bootstrapper';
import { parseListening } from '../../activities/restore/check-hosts';
import { isMount, parseMountInfo, volumeDifference } from '../../activities/restore/volume';

describe('what hosts and the bootstrapper print', () => {
  it('is read in both forms of the log: for terminals and for files', () => {
    assert.deepEqual(parseLogLine('FATA[0012] Couldn\'t migrate database: exit code 126'), { level: 'fatal', message: 'Couldn\'t migrate database: exit code 126' });
    assert.deepEqual(parseLogLine('time="2026-11-23T02:00:00Z" level=warning msg="a \\"quoted\\" word"'), { level: 'warning', message: 'a "quoted" word' });
    assert.deepEqual(parseLogLine('time="2026-11-23T02:00:00Z" level=info msg=plain'), { level: 'info', message: 'plain' });
    assert.deepEqual(parseLogLine('panic: something else'), { level: 'other', message: 'panic: something else' });
  });

  it('tells listening ports from connections, of both IP versions', () => {
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1',
      '   1: 0100007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 2 1',
      '   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 3 1',
    ].join('\n');
    assert.deepEqual([...parseListening(text)], [22, 443]);
  });

  it('says what is mounted where, and from what, blanks in names included', () => {
    const line = '36 35 0:32 / /var/lib/docker/volumes/a\\040b/_data rw,noatime shared:1 - nfs4 nas:/export/dtr rw,vers=4.2,addr=10.0.0.9';
    assert.deepEqual(parseMountInfo(`${line}\n`), [{ at: '/var/lib/docker/volumes/a b/_data', type: 'nfs4', source: 'nas:/export/dtr', superOptions: 'rw,vers=4.2,addr=10.0.0.9' }]);
  });

  it('takes a volume with a device for a mount, and names the option in which two volumes differ', () => {
    const nfs = { name: 'v', driver: 'local', options: { type: 'nfs', device: ':/export', o: 'addr=nas' } };
    assert.equal(isMount(nfs), true);
    assert.equal(isMount({ ...nfs, options: {} }), false);
    assert.equal(isMount({ ...nfs, name: '/data', driver: 'local' }), false);
    assert.equal(volumeDifference(nfs, { ...nfs, options: { ...nfs.options } }), null);
    assert.equal(volumeDifference({ ...nfs, options: {} }, { ...nfs, options: { device: ':/export' } }), 'it is not the expected mount: device is "", expected ":/export"');
  });
});
