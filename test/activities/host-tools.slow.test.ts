import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkTools } from '../../activities/backup/host-tools';
import { localHost } from '../../adapters/host/local';
import { connectHost } from '../../adapters/host/ssh';
import { parseSudoList, sudoLogWarnings } from '../../adapters/host/sudo-log';
import { hostSchema } from '../../domain/config';
import { failure } from '../helpers/failure';
import { OLD_TAR, writeTools } from '../helpers/old-tools';
import { startSshd, type TestSshd } from '../helpers/sshd';

const TOOLS = ['tar', 'find', 'xargs', 'sha256sum'];

describe('the tools of a host', function () {
  this.timeout(60_000);
  let dir: string;
  const kept = process.env.PATH;
  const withTools = (tools: Record<string, string>): void => {
    writeTools(dir, tools);
    process.env.PATH = `${dir}:${kept}`;
  };
  const busybox = (tool: string): string => `#!/bin/sh\nexec busybox ${tool} "$@"\n`;

  beforeEach(() => (dir = mkdtempSync(path.join(tmpdir(), 'drydock-tools-'))));
  afterEach(() => {
    process.env.PATH = kept;
    rmSync(dir, { recursive: true, force: true });
  });

  it('may be those of CentOS 7', async () => {
    withTools({ tar: OLD_TAR });
    await checkTools(localHost('node-1'), TOOLS, 'install them');
  });

  it('are named when they are not there', async () => {
    const error = await failure(checkTools(localHost('node-1'), [...TOOLS, 'no-such-tool'], 'install them'), 'Refused');
    assert.equal(error.message, 'node-1 lacks no-such-tool');
  });

  it('are named with their version and the option that they do not know', async () => {
    withTools({ tar: '#!/bin/sh\ncase "$*" in *--version*) echo "tar (GNU tar) 1.13"; exit ;; *--no-unquote*) echo "tar: unrecognized option \'--no-unquote\'" >&2; exit 2 ;; esac\n' });
    const error = await failure(checkTools(localHost('node-1'), TOOLS, 'install them'), 'Refused');
    assert.equal(error.message, "node-1 has tools that do not do what is needed: tar (tar (GNU tar) 1.13): tar: unrecognized option '--no-unquote'");
  });

  it('are named when they are those of busybox', async () => {
    withTools({ tar: busybox('tar'), find: busybox('find') });
    const { message } = await failure(checkTools(localHost('node-1'), TOOLS, 'install them'), 'Refused');
    assert.match(message, /^node-1 has tools that do not do what is needed: tar \(.*busybox.*\): .*; find \(.*\): .*-ignore_readdir_race/i);
  });
});

describe('sudo that logs', function () {
  this.timeout(60_000);
  let sshd: TestSshd;
  before(async () => {
    sshd = await startSshd();
  });
  after(() => sshd.stop());

  for (const [what, line, found] of [
    ['output', 'Defaults:USER log_output', /keeps what commands of USER print \(log_output\): .* \/var\/log\/sudo-io of that host.*Defaults:USER !log_output/],
    ['input into another folder', 'Defaults:USER log_input, iolog_dir=/srv/sudo', /read \(log_input\): .*\/srv\/sudo/],
    ['nothing', 'Defaults:USER !log_output', null],
  ] as const) {
    it(`is warned of when it keeps ${what}`, async () => {
      const { user } = sshd.addLogin({ shell: '/bin/bash', sudo: true });
      writeFileSync(`/etc/sudoers.d/${user}`, `${user} ALL=(ALL) NOPASSWD: ALL\n${line.replaceAll('USER', user)}\n`, { mode: 0o440 });
      const host = await connectHost('node-1', hostSchema.parse({ address: '127.0.0.1', port: sshd.port, key: `file:${sshd.keyFile}`, user }), { knownHosts: sshd.knownHosts, hosts: {} });
      const warnings = await sudoLogWarnings(host, user);
      if (found === null) assert.deepEqual(warnings, []);
      else assert.match(warnings.join(), new RegExp(found.source.replaceAll('USER', user)));
      await host.close();
    });
  }

  it('is read from what sudo says of defaults, of commands and of tags; the last word counts', () => {
    const list = (defaults: string, more: string): string =>
      `Matching Defaults entries for ops on node-1:\n    env_reset, ${defaults}\n\nRunas and Command-specific defaults for ops:\n    Defaults!/bin/true log_input\n\nUser ops may run the following commands on node-1:\n    ${more}\n`;
    const flags = (text: string) => (({ output, input }) => [output, input])(parseSudoList(text));
    assert.deepEqual(flags(list('use_pty', '(ALL) NOPASSWD: ALL')), [false, false]);
    assert.deepEqual(flags(list('log_output,\n    log_input', '(ALL) ALL')), [true, true]);
    assert.deepEqual(flags(list('log_output, !log_output', '(ALL) NOPASSWD: LOG_INPUT: ALL, NOLOG_INPUT: /bin/ls')), [false, true]);
    assert.deepEqual(flags(list('log_output', '(ALL : ALL) NOLOG_OUTPUT: ALL')), [false, false]);
    assert.deepEqual(flags(list('use_pty', '(ALL) LOG_OUTPUT: /bin/ls, NOLOG_OUTPUT: ALL')), [false, false]);
    assert.equal(flags(list('x', '(ALL) ALL').replace('Defaults!/bin/true', 'Defaults!/bin/sh'))[1], true);
  });
});
