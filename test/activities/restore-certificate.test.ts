import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { certificateFrom } from '../../activities/restore/certificate';
import { TestCa } from '../helpers/pki';

describe('the certificate that a restore gives to the vendor', () => {
  const ca = new TestCa();
  const { cert, key } = ca.issue(['DNS:dtr.example']);
  const other = ca.issue(['DNS:dtr.example']);
  const { fingerprint256 } = new X509Certificate(cert);

  after(() => ca.remove());

  it('is the one of the metadata, by environment', () => {
    assert.deepEqual(certificateFrom({ webTLSCert: cert, webTLSKey: key, webTLSCA: ca.cert }, fingerprint256.replaceAll(':', '').toLowerCase()), { DTR_CERT: cert, DTR_KEY: key, DTR_CA: ca.cert });
    assert.deepEqual(certificateFrom({ webTLSCert: cert, webTLSKey: key }, fingerprint256), { DTR_CERT: cert, DTR_KEY: key });
  });

  it('is left to the vendor where it is not whole, not that of the manifest, or of an unknown form', () => {
    assert.deepEqual(certificateFrom({}, fingerprint256), {});
    assert.deepEqual(certificateFrom({ webTLSCert: cert, webTLSKey: other.key }, fingerprint256), {});
    assert.deepEqual(certificateFrom({ webTLSCert: other.cert, webTLSKey: other.key }, fingerprint256), {});
    assert.deepEqual(certificateFrom({ webTLSCert: 'vault:1', webTLSKey: key }, fingerprint256), {});
  });
});
