/** The link tree: all of a registry volume but the blobs' data and uploads in flight, as a tar. */
import { Readable, Transform, type TransformCallback } from 'node:stream';
import { DrydockError } from '../../domain/errors';
import { BLOBS_ROOT } from '../../domain/layout';
import { END_OF_ARCHIVE, makeHeader, paddingOf, type TarMember } from '../archive/tar-header';
import { TarParser } from '../archive/tar-parser';
import type { Host } from '../host/host';
import { Complaints, type Complaint } from './complaints';
import { feedTar } from './restore';
import { hasBlobs, STAGING_PREFIX, volumeRoot, type StreamOptions } from './volume';

/** A link file holds `sha256:<hex>`, 71 bytes. */
const MAX_LINK_BYTES = 1024;

export interface StreamTreeOptions extends StreamOptions {
  /** Called for each link file below `repositories/`: its path in the volume and what it says, as it stands there. */
  onLink?: (path: string, content: string) => void;
  /** Called for what is neither a file nor a folder; it is left out. */
  onSkipped?: (path: string) => void;
}

/**
 * A tar of the tree with names relative to the volume's root. It ends with an error when the volume is not there, when a file cannot be read, or when
 * the remote tar fails for another reason than files that went or changed meanwhile.
 */
export function streamTree(host: Host, root: string, options: StreamTreeOptions = {}): Readable {
  const { onLink, onSkipped, ...spawnOptions } = options;
  const filter = new TreeFilter((member) => onSkipped?.(member.name), onLink);
  const source = Readable.from(remoteTar(host, volumeRoot(root), spawnOptions), { objectMode: false });
  return source.on('error', (error) => filter.destroy(error)).pipe(filter).on('close', () => source.destroy());
}

export interface RestoreTreeOptions extends StreamOptions {
  host: Host;
  root: string;
  /** The tar that `streamTree` made. */
  source: Readable;
}

/** Writes a tree back with the owners and modes that it was saved with. Throws IntegrityMismatch when the archive holds anything but files and folders below the root. */
export async function restoreTree({ host, root, source, ...options }: RestoreTreeOptions): Promise<{ files: number; bytes: number }> {
  const filter = new TreeFilter((member) => {
    throw oddMember(member);
  });
  const checked = source.on('error', (error) => filter.destroy(error)).pipe(filter).on('close', () => source.destroy());
  await feedTar(host, ['tar', '-C', volumeRoot(root), '--numeric-owner', '--same-owner', '-p', '-xf', '-'], checked, options);
  return { files: filter.files, bytes: filter.bytes };
}

/** Whether it is a file or a folder below the root: nothing else belongs into a link tree. */
export function isTreeMember({ name, type }: Pick<TarMember, 'name' | 'type'>): boolean {
  const parts = plainPath(name).replace(/\/$/, '').split('/');
  const isHarmless = plainPath(name) === './' || !parts.some((part) => part === '' || part === '.' || part === '..');
  return isHarmless && (type === 'file' || type === 'directory');
}

/** What a restore says of a member that is none. */
export function oddMember({ name }: Pick<TarMember, 'name'>): DrydockError {
  return new DrydockError('IntegrityMismatch', `the tree archive holds ${JSON.stringify(name)}, which is neither a file nor a folder`, { remedy: 'use another backup' });
}

function plainPath(name: string): string {
  return name.replace(/^\.\/(?=.)/, '');
}

async function* remoteTar(host: Host, volume: string, options: StreamOptions): AsyncGenerator<Buffer> {
  const command = [
    'tar', '-C', volume, '--format=posix', '--pax-option=delete=atime,delete=ctime,delete=mtime', '--numeric-owner', '--hard-dereference',
    '--wildcards', '--anchored', `--exclude=./${BLOBS_ROOT}/sha256/*`, `--exclude=./${BLOBS_ROOT}/id/*`, `--exclude=./${STAGING_PREFIX}*`,
    // Content that is named by another algorithm; names of just this depth, as the listing takes them.
    '--no-wildcards-match-slash', `--exclude=./${BLOBS_ROOT}/*/??/*/data`, '--wildcards-match-slash',
    '--no-anchored', '--exclude=_uploads', '-b', '256', '-cf', '-', '.',
  ];
  await hasBlobs(host, volume, options.signal);
  const complaints = new Complaints();
  const process = await host.spawn(command, { ...options, onStderr: complaints.take });
  process.stdin.end();
  try {
    yield* process.stdout as AsyncIterable<Buffer>;
    const unread = complaints.sorted(host.name, command, await process.exit, [1, 2]).filter(({ kind }) => kind === 'unreadable');
    if (unread.length > 0) throw unreadable(host.name, volume, unread);
  } finally {
    await process.kill();
  }
}

/** tar writes zeros where it could not read: in a backup they would stand for what the registry says. */
function unreadable(host: string, volume: string, files: Complaint[]): DrydockError {
  const more = files.length > 1 ? ` and ${files.length - 1} other file(s)` : '';
  return new DrydockError('CommandFailed', `${host}: the disk does not give back ${volume}/${plainPath(files[0]!.path)}${more} (input/output error), so the link tree is not whole`, {
    remedy: 'look at the kernel log and the disk of the host; when the file is lost, remove it or the image that it belongs to, then start the backup again',
  });
}

/** Passes files and folders with harmless names through, in a plain form of our own; hands everything else to `onOdd`. */
class TreeFilter extends Transform {
  files = 0;
  bytes = 0;
  private current: TarMember | null = null;
  private link: Buffer[] | null = null;
  /** Goes on together: of many small files each header and each padding alone would cost a compressor's round trip. */
  private pieces: Buffer[] = [];
  private readonly parser: TarParser;

  constructor(
    private readonly onOdd: (member: TarMember) => void,
    private readonly onLink?: (path: string, content: string) => void,
  ) {
    super({ readableHighWaterMark: 1 << 20 });
    // Whoever reads gets the error; one that comes before the reader does must not end the process.
    this.on('error', () => undefined);
    this.parser = new TarParser({ member: (member) => this.startMember(member), data: (chunk) => this.takeData(chunk), memberEnd: () => this.endMember() });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.attempt(() => this.parser.write(chunk), done);
  }

  override _flush(done: TransformCallback): void {
    this.attempt(() => {
      this.parser.end();
      this.pieces.push(END_OF_ARCHIVE);
    }, done);
  }

  private attempt(action: () => void, done: TransformCallback): void {
    try {
      action();
      const pieces = this.pieces;
      this.pieces = [];
      if (pieces.length > 0) this.push(Buffer.concat(pieces));
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  private startMember(member: TarMember): void {
    const name = plainPath(member.name);
    const { type } = member;
    if (!isTreeMember(member) || (type !== 'file' && type !== 'directory')) {
      this.onOdd(member);
      this.current = null;
      return;
    }
    this.current = { ...member, name };
    if (type === 'file') {
      this.files += 1;
      this.bytes += member.size;
    }
    this.pieces.push(makeHeader({ name, type, size: member.size, mode: member.mode & 0o7777, uid: member.uid, gid: member.gid, mtime: Math.max(0, member.mtime) }));
    this.link = this.onLink && type === 'file' && name.split('/').at(-1) === 'link' && member.size <= MAX_LINK_BYTES ? [] : null;
  }

  private takeData(chunk: Buffer): void {
    if (!this.current) return;
    this.pieces.push(chunk);
    this.link?.push(chunk);
  }

  private endMember(): void {
    if (!this.current) return;
    this.pieces.push(Buffer.alloc(paddingOf(this.current.size)));
    if (this.link) this.onLink?.(this.current.name, Buffer.concat(this.link).toString('utf8'));
    this.current = null;
    this.link = null;
  }
}
