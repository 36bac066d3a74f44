import assert from 'node:assert/strict';
import { fromEnvFile, hasSecretProxies, hideCredentials, proxyFlags, secretProxies, toEnvFile } from '../../domain/proxies';

describe('proxies of the registry', () => {
  it('are shown without user and password, however those are written', () => {
    assert.equal(hideCredentials('http://proxy:3128'), 'http://proxy:3128');
    assert.equal(hideCredentials(''), '');
    for (const secret of ['http://me:hunter2@proxy:3128', 'http://hunter2@proxy:3128', 'http://me:hun@ter2/x@proxy:3128']) assert.equal(hideCredentials(secret), 'http://***@proxy:3128');
    assert.equal(hideCredentials('me:hunter2@proxy:3128'), '***@proxy:3128');
  });

  it('are flags only without credentials, and else stand in the environment', () => {
    const live = { httpProxy: 'http://proxy:3128', httpsProxy: 'http://me:hunter2@proxy:3128', noProxy: 'ucp' };
    const shown = { httpProxy: hideCredentials(live.httpProxy), httpsProxy: hideCredentials(live.httpsProxy) };
    assert.deepEqual(proxyFlags(shown), ['--http-proxy', 'http://proxy:3128']);
    assert.equal(hasSecretProxies(shown), true);
    assert.deepEqual(secretProxies(live), { DTR_HTTPS_PROXY: 'http://me:hunter2@proxy:3128' });
  });

  it('come back from the file that docker reads as they were, and nothing else with them', () => {
    const values = { DTR_HTTP_PROXY: 'http://a=b:c@proxy', DTR_HTTPS_PROXY: 'http://me:hunter2@proxy:3128' };
    assert.deepEqual(fromEnvFile(toEnvFile(values)), values);
    assert.deepEqual(fromEnvFile('PATH=/evil\nDTR_HTTP_PROXY=x@y\n'), { DTR_HTTP_PROXY: 'x@y' });
  });
});
