import assert from 'node:assert/strict';
import { Findings } from '../../activities/backup/findings';
import { loadDecryptionKeys, loadEncryptionKeys } from '../../adapters/openpgp/keyring';
import { isError } from '../helpers/vault';

describe('what stands in the way of a backup', () => {
  it('is told once where two parts of the check trip over the same missing passphrase', async () => {
    const findings = new Findings();
    const encryption = { passphrase: 'file:/nowhere/words', recipients: [] };
    await findings.attempt(() => loadEncryptionKeys(encryption));
    await findings.attempt(() => loadDecryptionKeys(encryption));
    assert.throws(() => findings.throwIfAny(), isError('InvalidInput', /^the secret file \/nowhere\/words cannot be read$/));
    findings.add('the vault is full', 'make room');
    assert.throws(() => findings.throwIfAny(), isError('Refused', /^2 things stand in the way: \(1\) the secret file .*; \(2\) the vault is full - make room$/));
  });
});
