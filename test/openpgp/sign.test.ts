import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as openpgp from 'openpgp';
import { loadSigningKey, loadTrustedSigners, signDetached, verifyDetached } from '../../adapters/openpgp/sign';
import { GpgHome, makeKey } from '../helpers/openpgp-keys';
import { isError, scratchDirectory, type Scratch } from '../helpers/vault';

describe('signatures of manifests', function () {
  this.timeout(60_000);
  let scratch: Scratch;
  let gpg: GpgHome;
  const content = Buffer.from('{"format":1}\n');

  before(async () => {
    scratch = await scratchDirectory();
    await chmod(scratch.path, 0o700);
    gpg = await GpgHome.create(scratch.path);
  });
  after(async () => {
    await gpg.stop();
    await scratch.remove();
  });

  it('are verified by gpg and by us, and gpg\'s own are taken as well', async () => {
    const signer = await makeKey(scratch.path, 'signer');
    const key = (await loadSigningKey({ signingKey: `file:${signer.privateFile}` }))!;
    const signature = await signDetached(content, key);
    const [manifest, asc] = [join(scratch.path, 'manifest.json'), join(scratch.path, 'manifest.json.asc')];
    await writeFile(manifest, content);
    await writeFile(asc, signature);
    await gpg.run('--import', signer.privateFile);
    const status = (await gpg.run('--status-fd', '1', '--verify', asc, manifest)).toString();
    assert.match(status, new RegExp(`VALIDSIG ${signer.fingerprint}`));
    const trusted = await loadTrustedSigners({ signedBy: [signer.publicFile] });
    assert.equal((await verifyDetached(content, signature, trusted)).fingerprint, signer.fingerprint);
    const byGpg = (await gpg.run('--armor', '--output', '-', '--detach-sign', manifest)).toString();
    assert.equal((await verifyDetached(content, byGpg, trusted)).fingerprint, signer.fingerprint);
  });

  it('are refused for other bytes, by another key, and when they are damaged', async () => {
    const signer = await makeKey(scratch.path, 'one');
    const stranger = await makeKey(scratch.path, 'two');
    const trusted = await loadTrustedSigners({ signedBy: [signer.publicFile] });
    const signature = await signDetached(content, signer.privateKey);
    await assert.rejects(verifyDetached(Buffer.from('{"format":2}\n'), signature, trusted), isError('IntegrityMismatch', /not a signature of these bytes/));
    await assert.rejects(verifyDetached(content, await signDetached(content, stranger.privateKey), trusted), isError('IntegrityMismatch', /whose signatures do not count here/));
    await assert.rejects(verifyDetached(content, 'no signature at all', trusted), isError('IntegrityMismatch', /cannot be read/));
  });

  it('count as well when only the signing key itself is configured, and go on to count when its life has ended', async () => {
    const own = await makeKey(scratch.path, 'own');
    const trusted = await loadTrustedSigners({ signingKey: `file:${own.privateFile}` });
    assert.equal((await verifyDetached(content, await signDetached(content, own.privateKey), trusted)).fingerprint, own.fingerprint);
    const old = await makeKey(scratch.path, 'ended', { date: new Date('2020-01-01'), keyExpirationTime: 86_400 });
    await assert.rejects(loadSigningKey({ signingKey: `file:${old.privateFile}` }), isError('InvalidInput', /expired on 2020-01-02/));
    assert.equal((await loadTrustedSigners({ signedBy: [old.publicFile] })).length, 1);
  });

  it('that are there already are read although the site\'s own key can sign no more: it has expired, was revoked, or stays locked', async () => {
    const ended = await makeKey(scratch.path, 'own-ended', { date: new Date('2020-01-01'), keyExpirationTime: 86_400 });
    const locked = await makeKey(scratch.path, 'own-locked', { passphrase: 'lost' });
    const fresh = await makeKey(scratch.path, 'own-fresh');
    const { privateKey: revoked } = await openpgp.revokeKey({ key: fresh.privateKey, reasonForRevocation: { flag: openpgp.enums.reasonForRevocation.keySuperseded }, format: 'object' });
    await writeFile(join(scratch.path, 'own-revoked.key'), revoked.armor());
    for (const file of [ended.privateFile, locked.privateFile, join(scratch.path, 'own-revoked.key')]) {
      await assert.rejects(loadSigningKey({ signingKey: `file:${file}` }));
      assert.equal((await loadTrustedSigners({ signingKey: `file:${file}` })).length, 1, file);
    }
  });

  it('are made with the only key of a file that can sign; where several can, none is chosen in silence', async () => {
    const [one, two] = [await makeKey(scratch.path, 'first'), await makeKey(scratch.path, 'second')];
    const ended = await makeKey(scratch.path, 'long-ended', { date: new Date('2020-01-01'), keyExpirationTime: 86_400, passphrase: 'forgotten' });
    const several = async (...keys: typeof one[]): Promise<string> => {
      await writeFile(join(scratch.path, 'several.key'), (await Promise.all(keys.map(({ privateFile }) => readFile(privateFile, 'utf8')))).join(''));
      return `file:${join(scratch.path, 'several.key')}`;
    };
    assert.equal((await loadSigningKey({ signingKey: await several(ended, two, two) }))!.getFingerprint().toUpperCase(), two.fingerprint);
    await assert.rejects(several(one, two).then((signingKey) => loadSigningKey({ signingKey })), isError('InvalidInput', new RegExp(`several private keys that can sign.*${one.fingerprint}, ${two.fingerprint}`)));
    await writeFile(join(scratch.path, 'two.asc'), (await Promise.all([one, two].map(({ publicFile }) => readFile(publicFile, 'utf8')))).join('\n'));
    const trusted = await loadTrustedSigners({ signedBy: [join(scratch.path, 'two.asc')] });
    assert.equal((await verifyDetached(content, await signDetached(content, two.privateKey), trusted)).fingerprint, two.fingerprint);
  });

  it('go on to count, with a word on it, when their key was replaced later, and not when it was revoked before or as compromised; other signers stay usable', async () => {
    const other = await makeKey(scratch.path, 'other');
    const manifest = join(scratch.path, 'signed.json');
    await writeFile(manifest, content);
    /** A key of gpg's, a signature of 2026-02-01, and the key as it was exported after its revocation. */
    const revoked = async (name: string, reason: number, date: string): Promise<{ file: string; signature: string }> => {
      const at = (time: string): string[] => ['--faked-system-time', `${time}T000000`];
      await gpg.run(...at('20260101'), '--passphrase', '', '--quick-generate-key', `${name} <${name}@example.com>`, 'ed25519', 'sign', 'never');
      const signature = (await gpg.run(...at('20260201'), '--armor', '--local-user', `${name}@example.com`, '--output', '-', '--detach-sign', manifest)).toString();
      await gpg.shell(`printf 'y\\n${reason}\\n\\ny\\n' | $GPG --no-batch --no-tty --command-fd 0 --faked-system-time ${date}T000000 --output ${name}.rev --generate-revocation ${name}@example.com; $GPG --import ${name}.rev`, scratch.path);
      const file = join(scratch.path, `${name}.asc`);
      await writeFile(file, await gpg.run('--armor', '--export', `${name}@example.com`));
      return { file, signature };
    };
    for (const reason of [2, 3]) {
      const { file, signature } = await revoked(`soft-${reason}`, reason, '20260301');
      const trusted = await loadTrustedSigners({ signedBy: [other.publicFile, file] });
      const good = await verifyDetached(content, signature, trusted);
      assert.deepEqual([good.signedAt.slice(0, 10), good.revokedSince], ['2026-02-01', true]);
      const fresh = await verifyDetached(content, await signDetached(content, other.privateKey), trusted);
      assert.deepEqual([fresh.fingerprint, fresh.revokedSince], [other.fingerprint, undefined]);
    }
    for (const [name, reason, date] of [['none', 0, '20260301'], ['compromised', 1, '20260301'], ['earlier', 2, '20260115']] as const) {
      const { file, signature } = await revoked(name, reason, date);
      const trusted = await loadTrustedSigners({ signedBy: [other.publicFile, file] });
      await assert.rejects(verifyDetached(content, signature, trusted), isError('IntegrityMismatch', /which is revoked/), name);
      assert.equal((await verifyDetached(content, await signDetached(content, other.privateKey), trusted)).fingerprint, other.fingerprint);
    }
  });

  it('are not made with a locked key whose passphrase is missing', async () => {
    const locked = await makeKey(scratch.path, 'locked', { passphrase: 'open sesame' });
    await assert.rejects(loadSigningKey({ signingKey: `file:${locked.privateFile}` }), isError('AuthRejected', /locked and no signingKeyPassphrase is configured/));
    process.env['DRYDOCK_TEST_SIGNING'] = 'open sesame';
    assert.ok(await loadSigningKey({ signingKey: `file:${locked.privateFile}`, signingKeyPassphrase: 'env:DRYDOCK_TEST_SIGNING' }));
  });
});
