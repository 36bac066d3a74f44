import assert from 'node:assert/strict';
import { nextRun, parseSchedule } from '../../lab/dtr/common/cron';
import { primaryKey, tablesOf } from '../../lab/dtr/common/tables';
import { commandsOf, parseFlags, UsageError } from '../../lab/dtr/bootstrapper/flags';
import { archiveRoot, archiveVersion } from '../../lab/dtr/bootstrapper/archive';
import { isVolumeOf, parseReplicaContainer } from '../../lab/dtr/bootstrapper/replica';

describe('parts of the stand-in DTR', () => {
  describe('flags of the bootstrapper', () => {
    it('takes values from flags before the environment, and an empty value for a value', () => {
      const flags = parseFlags('reconfigure', '2.9.4', ['--nfs-storage-url', '', '--ucp-username=root'], { UCP_USERNAME: 'admin', UCP_PASSWORD: 'secret' });
      assert.deepEqual(flags, { 'nfs-storage-url': '', 'ucp-username': 'root', 'ucp-password': 'secret' });
    });

    it('refuses a flag that the version or the command does not know', () => {
      assert.throws(() => parseFlags('restore', '2.5.3', ['--dtr-use-default-storage'], {}), UsageError);
      assert.deepEqual(parseFlags('restore', '2.9.4', ['--dtr-use-default-storage'], {}), { 'dtr-use-default-storage': 'true' });
      assert.throws(() => parseFlags('backup', '2.9.4', ['--ignore-scan-data'], {}), /not defined: -ignore-scan-data/);
      assert.throws(() => parseFlags('destroy', '2.9.4', ['--ucp-node', 'n'], {}), UsageError);
    });

    it('knows emergency-repair from 2.5 on only', () => {
      assert.ok(commandsOf('2.5.3').includes('emergency-repair'));
      assert.ok(!commandsOf('2.4.1').includes('emergency-repair'));
    });
  });

  describe('schedules', () => {
    const after = new Date('2026-11-23T21:46:05.500Z');
    const next = (schedule: string): string => nextRun(schedule, after).toISOString();

    it('finds the next moment that all six fields name', () => {
      assert.equal(next('*/5 * * * * *'), '2026-11-23T21:46:10.000Z');
      assert.equal(next('0 0 1 * * 6'), '2026-11-28T01:00:00.000Z');
      assert.equal(next('0 30 4 1 1 *'), '2027-01-01T04:30:00.000Z');
      assert.equal(next('0 0 0 * * 7'), '2026-11-29T00:00:00.000Z');
    });

    it('takes either of day and weekday where both are narrowed', () => {
      assert.equal(next('0 0 0 25 * 2'), '2026-11-24T00:00:00.000Z');
    });

    it('refuses what is no schedule', () => {
      for (const schedule of ['x', '* * * * *', '60 * * * * *', '5-1 * * * * *', '*/0 * * * * *']) assert.throws(() => parseSchedule(schedule), schedule);
    });
  });

  describe('archives', () => {
    it('have the table set of their version, 26 in 2.9', () => {
      assert.equal(tablesOf('2.9.4').length, 26);
      assert.ok(!tablesOf('2.5.3').includes('blobs') && tablesOf('2.5.3').includes('tags'));
    });

    it('carry the version in their root folder, with -online from 2.6 on', () => {
      assert.equal(archiveRoot('2.9.4'), 'dtr-backup-v2.9.4-online');
      assert.equal(archiveRoot('2.5.3'), 'dtr-backup-v2.5.3');
      assert.equal(archiveVersion('dtr-backup-v2.9.4-online/'), '2.9.4');
      assert.equal(archiveVersion('etc/passwd'), null);
    });

    it('tell rows of a table apart by its own key', () => {
      assert.equal(primaryKey('tags', { pk: 'a/b:c' }), 'a/b:c');
      assert.equal(primaryKey('repositories', { namespace: 'a', name: 'b' }), 'a/b');
      assert.throws(() => primaryKey('blobs', {}), /no id/);
    });
  });

  it('recognises containers and volumes of a replica by their whole names', () => {
    assert.deepEqual(parseReplicaContainer('/node-1/dtr-notary-server-0123456789ab'), { node: 'node-1', component: 'notary-server', id: '0123456789ab' });
    assert.equal(parseReplicaContainer('/node-1/dtr-phase2'), null);
    assert.ok(isVolumeOf('dtr-registry-nfs-0123456789ab', '0123456789ab'));
    assert.ok(!isVolumeOf('dtr-registry-0123456789ab', 'ffffffffffff'));
  });
});
