import assert from 'node:assert/strict';
import { knownKeys, signatureAlgorithms } from '../../adapters/host/known-hosts';

const ED = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHn7n0a1Jb1cVqfSxBv3y0bUmX1Uqk0m7pJ3oTgM3O0B';
const RSA = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDf';
const OTHER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const blob = (line: string): Buffer => Buffer.from(line.split(' ')[1]!, 'base64');

describe('known_hosts', () => {
  it('takes the plain name for another port, as ssh does, where nothing stands there with the port', () => {
    const known = knownKeys(`node-1 ${ED}\n`, 'Node-1', 2222);
    assert.deepEqual(known.accepted.map((key) => key.blob), [blob(ED)]);
    assert.equal(known.isWithoutPort, true);
  });

  it('never takes the plain name where the name has an entry with the port', () => {
    const known = knownKeys(`node-1 ${ED}\n[node-1]:2222 ${OTHER}\n`, 'node-1', 2222);
    assert.deepEqual(known.accepted.map((key) => key.blob), [blob(OTHER)]);
    assert.equal(known.isWithoutPort, false);
  });

  it('never takes an entry with another port, nor one with a port for port 22', () => {
    assert.deepEqual(knownKeys(`[node-1]:2223 ${ED}\n`, 'node-1', 2222).accepted, []);
    assert.deepEqual(knownKeys(`[node-1]:2222 ${ED}\n`, 'node-1', 22).accepted, []);
  });

  it('keeps a key revoked that is revoked under the plain name', () => {
    assert.deepEqual(knownKeys(`@revoked node-1 ${ED}\n[node-1]:2222 ${ED}\n`, 'node-1', 2222).revoked.map((key) => key.blob), [blob(ED)]);
  });

  it('asks for the kinds of key that it knows, and never for signatures by SHA-1', () => {
    assert.deepEqual(signatureAlgorithms(knownKeys(`node-1 ${RSA}\n`, 'node-1', 22)), ['rsa-sha2-512', 'rsa-sha2-256']);
    const none = signatureAlgorithms(knownKeys('', 'node-1', 22));
    assert.ok(none.includes('ssh-ed25519') && none.includes('rsa-sha2-256') && !none.map(String).includes('ssh-rsa'), none.join());
  });

  it('asks for other kinds, too, where the key is known without the port: that may be another server\'s', () => {
    const algorithms = signatureAlgorithms(knownKeys(`node-1 ${RSA}\n`, 'node-1', 2222));
    assert.equal(algorithms[0], 'rsa-sha2-512');
    assert.ok(algorithms.includes('ssh-ed25519'));
  });
});
