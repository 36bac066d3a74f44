import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { DrydockError } from '../../domain/errors';
import { findConfig, loadConfig } from '../../worker/config';
import { temporalSettings, workflowUrl } from '../../worker/temporal-settings';

const VALID = `temporal:
  address: 127.0.0.1:7555
stateDir: state
vaults:
  main:
    directory: vault
clusters:
  prod:
    ucp:
      urls: [https://ucp.example.com]
      caFile: ucp-ca.pem
      username: admin
      password: file:ucp-password
    dtr:
      url: https://dtr.example.com
    ssh:
      knownHosts: ~/known_hosts
    hosts:
      node-1:
        address: 10.0.0.1
        key: file:keys/node-1
      node-2:
        address: 10.0.0.2
        jump: node-1
    vault: main
    encryption:
      passphrase: env:PASSPHRASE
      recipients: [auditor.asc]
    approvers: [operator]
`;

describe('drydock.yaml', () => {
  let directory: string;
  let file: string;

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'drydock-config-'));
    file = path.join(directory, 'drydock.yaml');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function refused(text: string): Promise<DrydockError> {
    await writeFile(file, text);
    try {
      await loadConfig(file);
    } catch (error) {
      assert.ok(error instanceof DrydockError, String(error));
      assert.equal(error.kind, 'InvalidInput');
      return error;
    }
    throw new assert.AssertionError({ message: 'the configuration was accepted' });
  }

  function lineOf(text: string, part: string): number {
    return text.slice(0, text.indexOf(part)).split('\n').length;
  }

  it('comes back with defaults filled in and every path absolute', async () => {
    await writeFile(file, VALID);
    const config = await loadConfig(file);
    const prod = config.clusters.prod!;
    assert.equal(config.stateDir, path.join(directory, 'state'));
    assert.equal(config.vaults.main!.directory, path.join(directory, 'vault'));
    assert.equal(prod.ucp.caFile, path.join(directory, 'ucp-ca.pem'));
    assert.equal(prod.ucp.password, `file:${path.join(directory, 'ucp-password')}`);
    assert.equal(prod.hosts['node-1']!.key, `file:${path.join(directory, 'keys/node-1')}`);
    assert.equal(prod.ssh?.knownHosts, path.join(homedir(), 'known_hosts'));
    assert.equal(prod.encryption.passphrase, 'env:PASSPHRASE');
    assert.deepEqual(prod.encryption.recipients, [path.join(directory, 'auditor.asc')]);
    assert.equal(prod.hosts['node-1']!.port, 22);
    assert.equal(prod.policy.segmentBytes, 256 * 1024 * 1024);
    assert.equal(config.temporal.taskQueue, 'drydock');
  });

  it('names an unknown field with its line and the name that was probably meant', async () => {
    const text = VALID.replace('      caFile: ucp-ca.pem', '      cafile: ucp-ca.pem');
    const error = await refused(text);
    assert.match(error.message, /^clusters\.prod\.ucp\.cafile: unknown field, did you mean "caFile"\? \(.*drydock\.yaml:(\d+)\)$/);
    assert.ok(error.message.includes(`drydock.yaml:${lineOf(text, 'cafile')})`), error.message);
  });

  it('refuses a hold in which a backup could still be running', async () => {
    const error = await refused(VALID.replace('    approvers:', '    retention: { hold: 2h }\n    approvers:'));
    assert.match(error.message, /^clusters\.prod\.retention\.hold: expected a day or more/);
  });

  it('lists the known fields when no name is near', async () => {
    const error = await refused(VALID.replace('    directory: vault', '    directory: vault\n    colour: red'));
    assert.match(error.message, /^vaults\.main\.colour: unknown field, expected one of directory, sftp, s3 \(/);
  });

  it('makes files of a bucket absolute, and refuses what would send manifests in clear, half a pair of keys, or an odd prefix', async () => {
    const s3 = (more: string): string => VALID.replace('    directory: vault', `    s3: {bucket: backups, ${more}}`);
    await writeFile(file, s3('caFile: ca.pem, accessKeyId: "env:ID", secretAccessKey: "file:secret", endpoint: "https://s3.example.com"'));
    const found = (await loadConfig(file)).vaults['main']?.s3;
    assert.deepEqual([found?.caFile, found?.accessKeyId, found?.secretAccessKey], [path.join(path.dirname(file), 'ca.pem'), 'env:ID', `file:${path.join(path.dirname(file), 'secret')}`]);
    assert.match((await refused(s3('endpoint: "http://s3.example.com"'))).message, /^vaults\.main\.s3\.endpoint: expected an https address/);
    assert.match((await refused(s3('accessKeyId: "env:ID"'))).message, /^vaults\.main\.s3: give both accessKeyId and secretAccessKey/);
    assert.match((await refused(s3('prefix: ../up'))).message, /^vaults\.main\.s3\.prefix: expected a folder/);
  });

  it('says what is missing and where it should stand', async () => {
    const text = VALID.replace('      username: admin\n', '');
    const error = await refused(text);
    assert.match(error.message, /^clusters\.prod\.ucp\.username: is missing, expected text \(/);
    assert.ok(error.message.endsWith(`:${lineOf(text, 'ucp:')})`), error.message);
  });

  it('says what type was expected', async () => {
    assert.match((await refused(VALID.replace('[https://ucp.example.com]', '7'))).message, /^clusters\.prod\.ucp\.urls: expected a list \(/);
    assert.match((await refused(VALID.replace('https://dtr.example.com', 'http://dtr.example.com'))).message, /^clusters\.prod\.dtr\.url: expected an address that begins with https:\/\/ \(/);
    assert.match((await refused(VALID.replace('approvers: [operator]', 'approvers: []'))).message, /^clusters\.prod\.approvers: expected at least 1 entry \(/);
    assert.match((await refused(`${VALID}    policy: {stallSeconds: 1}\n`)).message, /^clusters\.prod\.policy\.stallSeconds: expected 5 or more \(/);
    assert.match((await refused(`${VALID}    policy: {freeze: never}\n`)).message, /^clusters\.prod\.policy\.freeze: expected "crons" or "readOnly" \(/);
    assert.match((await refused(`${VALID}    images: s3\n`)).message, /^clusters\.prod\.images: expected "ssh" or "docker" or a section with fields \(/);
  });

  it('asks for no SSH where images are read through the Docker API, and for it everywhere else', async () => {
    const without = VALID.replace(/ {4}ssh:[^]*?(?= {4}vault:)/, '');
    await writeFile(file, `${without}    images: docker\n`);
    const { prod } = (await loadConfig(file)).clusters;
    assert.deepEqual([prod!.images, prod!.ssh, prod!.hosts], ['docker', undefined, {}]);
    const { message } = await refused(without);
    assert.match(message, /clusters\.prod\.hosts: is missing, expected a section with names \(a backup without SSH: images: docker\)/);
    assert.match(message, /clusters\.prod\.ssh: is missing, expected a section with fields/);
    assert.match((await refused(`${VALID.replace(/ {4}ssh:\n.*\n/, '')}    images: docker\n`)).message, /clusters\.prod\.ssh: is missing/);
  });

  it('refuses a password written into the file without repeating it', async () => {
    const error = await refused(VALID.replace('file:ucp-password', 'hunter2'));
    assert.match(error.message, /^clusters\.prod\.ucp\.password: expected env:NAME or file:PATH/);
    assert.ok(!error.message.includes('hunter2'));
  });

  it('refuses a cluster without any encryption', async () => {
    const error = await refused(VALID.replace('      passphrase: env:PASSPHRASE\n      recipients: [auditor.asc]', '      recipients: []'));
    assert.match(error.message, /^clusters\.prod\.encryption: give a passphrase, recipients, or both/);
  });

  it('refuses a vault and a jump host that are not there', async () => {
    const error = await refused(VALID.replace('vault: main', 'vault: mian').replace('jump: node-1', 'jump: bastion'));
    assert.match(error.message, /clusters\.prod\.vault: there is no vault "mian", did you mean "main"\?/);
    assert.match(error.message, /clusters\.prod\.hosts\.node-2\.jump: there is no host "bastion", expected one of node-1, node-2/);
  });

  it('refuses copies in vaults that are not there, in the vault itself, and twice in one', async () => {
    const error = await refused(VALID.replace('vault: main', 'vault: main\n    copies: [mian, main, mian]'));
    assert.match(error.message, /clusters\.prod\.copies\.0: there is no vault "mian", did you mean "main"\?/);
    assert.match(error.message, /copies\.1: "main" is the vault of this cluster itself, expected another one/);
    const twice = await refused(VALID.replace('vault: main', 'vault: main\n    copies: [other, other]').replace('vaults:', 'vaults:\n  other: {directory: y}'));
    assert.match(twice.message, /copies\.1: "other" is named twice/);
  });

  it('refuses jump hosts that lead in a circle', async () => {
    const error = await refused(VALID.replace('key: file:keys/node-1', 'jump: node-2'));
    assert.match(error.message, /hosts\.node-1\.jump: the jump hosts lead back to this host/);
  });

  it('says on which line the YAML breaks', async () => {
    assert.match((await refused('vaults:\n  main: {directory: x\nclusters: {}\n')).message, /^this is not YAML: .*drydock\.yaml:\d+\)$/s);
    assert.match((await refused('')).message, /vaults: is missing/);
    assert.match((await refused('- a\n- b\n')).message, /expected a section with fields/);
  });

  it('is said to be absent by name when it is', async () => {
    await assert.rejects(loadConfig(file), { kind: 'InvalidInput', message: `the configuration file ${file} does not exist` });
  });

  it('is found by option, then by environment, then in the current directory', async () => {
    const before = process.cwd();
    const saved = process.env.DRYDOCK_CONFIG;
    delete process.env.DRYDOCK_CONFIG;
    process.chdir(directory);
    try {
      assert.throws(() => findConfig(), { kind: 'InvalidInput' });
      await writeFile('drydock.yaml', VALID);
      assert.equal(path.basename(findConfig()), 'drydock.yaml');
      process.env.DRYDOCK_CONFIG = '/etc/by-environment.yaml';
      assert.equal(findConfig(), '/etc/by-environment.yaml');
      assert.equal(findConfig('/etc/by-option.yaml'), '/etc/by-option.yaml');
    } finally {
      process.chdir(before);
      if (saved === undefined) delete process.env.DRYDOCK_CONFIG;
      else process.env.DRYDOCK_CONFIG = saved;
    }
  });
});

describe('the Temporal settings', () => {
  const section = { address: 'temporal.example.com:7233', namespace: 'default', taskQueue: 'drydock', uiUrl: 'http://ui.example.com/' };

  afterEach(() => {
    delete process.env.TEMPORAL_ADDRESS;
    delete process.env.TEMPORAL_NAMESPACE;
  });

  it('come from the configuration, and the environment wins', () => {
    assert.equal(temporalSettings(section).address, 'temporal.example.com:7233');
    process.env.TEMPORAL_ADDRESS = '127.0.0.1:9';
    process.env.TEMPORAL_NAMESPACE = 'ops';
    const settings = temporalSettings(section);
    assert.deepEqual([settings.address, settings.namespace], ['127.0.0.1:9', 'ops']);
  });

  it('give links that keep the slashes of a workflow id inside one part of the path', () => {
    assert.equal(workflowUrl(temporalSettings(section), 'backup/prod/1', 'r'), 'http://ui.example.com/namespaces/default/workflows/backup%2Fprod%2F1/r/history');
  });
});
