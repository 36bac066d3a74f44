/** A small SFTP server in this process, over a tree in memory: as other makes have it, without OpenSSH's extensions, and with faults. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Server, utils, type Attributes, type SFTPWrapper } from 'ssh2';
import { sftpSchema, type SftpConfig } from '../../domain/config';

const { OK, EOF, NO_SUCH_FILE, FAILURE } = utils.sftp.STATUS_CODE;
const FILE = 0o100600;
const DIRECTORY = 0o040700;

export interface SftpFaults {
  /** Requests that are never answered. */
  silent?: (request: string, name: string) => boolean;
  /** Requests that are answered with this status instead of being done. */
  refuse?: (request: string, name: string) => number | undefined;
  /** What it says about a file. */
  attrs?: (attrs: Attributes) => Partial<Attributes>;
}

export interface MemorySftp {
  settings: SftpConfig;
  stop(): Promise<void>;
}

/** One in some hundreds that ssh2 makes is malformed: neither it nor ssh-keygen reads it. */
function keyPair(): { public: string; private: string } {
  for (;;) {
    const pair = utils.generateKeyPairSync('ed25519');
    if (!(utils.parseKey(pair.private) instanceof Error)) return pair;
  }
}

export async function startMemorySftp(faults: SftpFaults = {}): Promise<MemorySftp> {
  const dir = mkdtempSync(path.join(tmpdir(), 'drydock-sftp-'));
  const hostKey = keyPair();
  writeFileSync(path.join(dir, 'key'), keyPair().private, { mode: 0o600 });
  const tree = new Map<string, Buffer | null>([['/', null], ['/srv', null]]);
  const server = new Server({ hostKeys: [hostKey.private] }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', (attempt) => attempt.accept());
    client.on('ready', () => client.on('session', (accept) => accept().on('sftp', (acceptSftp) => serve(acceptSftp(), tree, faults))));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  writeFileSync(path.join(dir, 'known_hosts'), `[127.0.0.1]:${port} ${hostKey.public}\n`);
  return {
    settings: sftpSchema.parse({ address: '127.0.0.1', port, user: 'u', key: `file:${path.join(dir, 'key')}`, knownHosts: path.join(dir, 'known_hosts'), path: '/srv/vault' }),
    stop: () => new Promise((resolve) => {
      rmSync(dir, { recursive: true, force: true });
      server.close(() => resolve());
    }),
  };
}

function serve(sftp: SFTPWrapper, tree: Map<string, Buffer | null>, faults: SftpFaults): void {
  const handles = new Map<string, { name: string; listed: boolean }>();
  const attrsOf = (name: string): Attributes => {
    const attrs = { mode: tree.get(name) === null ? DIRECTORY : FILE, uid: 0, gid: 0, size: tree.get(name)?.length ?? 0, atime: Date.now() / 1000, mtime: Math.floor(Date.now() / 1000) };
    return { ...attrs, ...faults.attrs?.(attrs) };
  };
  const open = (id: number, name: string): void => {
    const handle = Buffer.from(String(id));
    handles.set(handle.toString(), { name, listed: false });
    sftp.handle(id, handle);
  };
  /** Answers by itself where the fault says so. */
  const on = (request: string, id: number, name: string, act: () => void): void => {
    if (faults.silent?.(request, name)) return;
    const status = faults.refuse?.(request, name);
    if (status === undefined) act();
    else sftp.status(id, status);
  };
  const nameOf = (handle: Buffer): string => handles.get(handle.toString())?.name ?? '';
  const stat = (id: number, name: string): void => on('stat', id, name, () => (tree.has(name) ? sftp.attrs(id, attrsOf(name)) : sftp.status(id, NO_SUCH_FILE)));
  sftp.on('error', () => undefined);
  sftp.on('REALPATH', (id, name) => sftp.name(id, [{ filename: path.posix.resolve('/', name), longname: '', attrs: attrsOf('/') }]));
  sftp.on('LSTAT', stat).on('STAT', stat).on('FSTAT', (id, handle) => stat(id, nameOf(handle)));
  sftp.on('OPEN', (id, name, flags) => on('open', id, name, () => {
    if ((flags & utils.sftp.OPEN_MODE.CREAT) === 0) return tree.get(name) instanceof Buffer ? open(id, name) : sftp.status(id, NO_SUCH_FILE);
    if (!tree.has(path.posix.dirname(name))) return sftp.status(id, NO_SUCH_FILE);
    if (tree.has(name)) return sftp.status(id, FAILURE);
    tree.set(name, Buffer.alloc(0));
    open(id, name);
  }));
  sftp.on('WRITE', (id, handle, offset, data) => on('write', id, nameOf(handle), () => {
    const before = tree.get(nameOf(handle)) ?? Buffer.alloc(0);
    const after = Buffer.alloc(Math.max(before.length, offset + data.length));
    before.copy(after);
    data.copy(after, offset);
    tree.set(nameOf(handle), after);
    sftp.status(id, OK);
  }));
  sftp.on('READ', (id, handle, offset, length) => on('read', id, nameOf(handle), () => {
    const part = tree.get(nameOf(handle))?.subarray(offset, offset + length) ?? Buffer.alloc(0);
    if (part.length === 0) sftp.status(id, EOF);
    else sftp.data(id, part);
  }));
  sftp.on('CLOSE', (id) => sftp.status(id, OK));
  sftp.on('MKDIR', (id, name) => on('mkdir', id, name, () => {
    if (tree.has(name)) return sftp.status(id, FAILURE);
    if (!tree.has(path.posix.dirname(name))) return sftp.status(id, NO_SUCH_FILE);
    tree.set(name, null);
    sftp.status(id, OK);
  }));
  sftp.on('OPENDIR', (id, asked) => {
    const name = asked.replace(/(?<=.)\/$/, '');
    on('opendir', id, name, () => (tree.get(name) === null ? open(id, name) : sftp.status(id, NO_SUCH_FILE)));
  });
  sftp.on('READDIR', (id, handle) => {
    const opened = handles.get(handle.toString());
    if (!opened || opened.listed) return sftp.status(id, EOF);
    opened.listed = true;
    const names = [...tree.keys()].filter((each) => each !== '/' && path.posix.dirname(each) === opened.name);
    if (names.length === 0) return sftp.status(id, EOF);
    sftp.name(id, names.map((each) => ({ filename: path.posix.basename(each), longname: '', attrs: attrsOf(each) })));
  });
  sftp.on('RENAME', (id, from, to) => on('rename', id, to, () => {
    // Unlike OpenSSH's, it writes over what is there.
    tree.set(to, tree.get(from) ?? Buffer.alloc(0));
    tree.delete(from);
    sftp.status(id, OK);
  }));
  const remove = (request: string) => (id: number, name: string): void => on(request, id, name, () => sftp.status(id, tree.delete(name) ? OK : NO_SUCH_FILE));
  sftp.on('REMOVE', remove('remove')).on('RMDIR', remove('rmdir'));
}
