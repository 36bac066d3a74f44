/** SFTP servers of other makes than OpenSSH, and what they lack, refuse, or answer that is not so. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { utils } from 'ssh2';
import { openSftpVault } from '../../adapters/vault/sftp';
import { SftpConnection } from '../../adapters/vault/sftp-connection';
import type { Vault } from '../../adapters/vault/vault';
import { startMemorySftp, type MemorySftp, type SftpFaults } from '../helpers/sftp-server';
import { isError } from '../helpers/vault';
import { names } from './conformance';

const { PERMISSION_DENIED, FAILURE, OP_UNSUPPORTED } = utils.sftp.STATUS_CODE;

describe('a vault on an SFTP server of another make', function () {
  this.timeout(20_000);
  let server: MemorySftp;
  let vault: Vault;
  async function vaultOn(faults: SftpFaults = {}): Promise<Vault> {
    server = await startMemorySftp(faults);
    return (vault = openSftpVault(server.settings));
  }
  afterEach(async () => {
    await vault.close();
    await server.stop();
  });

  it('without any extension (hard links, fsync, free space), whose rename writes over names, keeps each name once', async () => {
    await vaultOn();
    await vault.check();
    await vault.put('lab/x', 'x');
    await assert.rejects(vault.put('lab/x', 'y'), isError('Conflict', /never rewritten/));
    assert.equal((await vault.readAll('lab/x', 10)).toString(), 'x');
    assert.equal(await vault.freeBytes(), null);
    assert.deepEqual(await names(vault, ''), ['lab/x', 'vault.json']);
  });

  it('that does not know a request is not waited for: nothing is out', async () => {
    await vaultOn();
    const connection = await SftpConnection.open(server.settings, 'a test');
    try {
      await assert.rejects(connection.raw((sftp, done) => sftp.ext_openssh_fsync(Buffer.alloc(4), (error) => done(error, undefined))), /does not support/);
      assert.equal(connection.underWay, 0);
    } finally {
      connection.close();
    }
  });

  it('that does not say when files were written is refused, and nothing of it is taken for old', async () => {
    await vaultOn({ attrs: () => ({ mtime: undefined, atime: undefined }) });
    await assert.rejects(vault.check(), isError('Refused', /does not say when a file was written/));
  });

  it('that does not say what is a file, or how large it is, is refused by its probe', async () => {
    await vaultOn({ attrs: ({ mode }) => (mode & 0o100000 ? { size: undefined } : {}) });
    await assert.rejects(vault.check(), isError('Refused', /does not say how large a file is/));
  });

  for (const [request, status, kind, sentence] of [
    ['open', PERMISSION_DENIED, 'NotPermitted', /permission denied/], ['write', FAILURE, 'NoSpace', /takes no more after 0 bytes/], ['write', PERMISSION_DENIED, 'NotPermitted', /permission denied/],
    ['rename', PERMISSION_DENIED, 'NotPermitted', /permission denied/], ['rename', OP_UNSUPPORTED, 'VaultUnavailable', /the server says/], ['mkdir', PERMISSION_DENIED, 'NotPermitted', /permission denied/],
  ] as const) {
    it(`that refuses ${request} with ${status} says so`, async () => {
      await vaultOn({ refuse: (asked) => (asked === request ? status : undefined) });
      await assert.rejects(vault.check(), isError(kind, sentence));
    });
  }

  it('that goes silent keeps nobody for ever: who waits hears that the connection is gone, and the next call opens another', async () => {
    let isSilent = false;
    await vaultOn({ silent: (asked) => asked === 'opendir' && isSilent });
    await vault.check();
    isSilent = true;
    const listing = assert.rejects(names(vault, ''), isError('VaultUnavailable', /connection to sftp .* was lost/));
    await sleep(100);
    await vault.close();
    await listing;
    isSilent = false;
    assert.deepEqual(await names(vault, ''), ['vault.json']);
  });
});
