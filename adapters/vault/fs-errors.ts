import { DrydockError, type ErrorKind } from '../../domain/errors';

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}

/** What is known beyond the code. `freeFiles`: how many more files there can be. */
export interface FileFacts {
  bytesWritten?: number;
  freeBytes?: number | null;
  freeFiles?: number | null;
}

type Told = [kind: ErrorKind, what: string, remedy: string];

const ROOM = 'make room in the vault; the older backups in it are whole';
const MOUNT_AGAIN = 'mount it again, and look at the server or program behind the mount';

/** Codes that need no more than their sentence. */
const SENTENCES: Record<string, Told> = {
  EACCES: ['NotPermitted', 'permission denied', 'give the worker\'s user the right to read and write there'],
  EPERM: ['NotPermitted', 'permission denied: its file system or a flag of the file (chattr, SELinux, an export without root) forbids it', 'give the worker\'s user the right to write there'],
  EROFS: ['NotPermitted', 'it is mounted read-only', 'mount it for writing; a file system that turned read-only by itself has met a broken disk'],
  ENOENT: ['NotFound', 'it is not there', 'look with `drydock list` what the vault holds'],
  ENOTDIR: ['NotFound', 'it is not there: a file stands where a folder should be', 'look with `drydock list` what the vault holds'],
  ELOOP: ['Refused', 'a symbolic link is in its place', 'a vault holds plain files only; find out who put the link there'],
  EMLINK: ['Refused', 'a symbolic link is in its place', 'a vault holds plain files only; find out who put the link there'],
  EISDIR: ['Refused', 'a folder is in its place', 'a vault holds plain files only; find out who put the folder there'],
  ENAMETOOLONG: ['Refused', 'its file system takes no name that long', 'use a file system with names of 255 bytes, or a shorter path and shorter names of clusters'],
  EILSEQ: ['Refused', 'its file system does not take such a name', 'use a file system that takes the letters, digits and . _ - + : @ = of names in a vault'],
  EXDEV: ['Refused', 'its folder lies on another file system, or in another quota project, than .drydock-tmp beside it', 'give the whole vault one file system and one quota project'],
  ESTALE: ['VaultUnavailable', 'the server behind the mount does not know the folder any more (stale handle)', MOUNT_AGAIN],
  ENOTCONN: ['VaultUnavailable', 'the program behind the mount is gone', MOUNT_AGAIN],
  ESHUTDOWN: ['VaultUnavailable', 'the disk behind the mount is gone', MOUNT_AGAIN],
  ENODEV: ['VaultUnavailable', 'the disk behind the mount is gone', MOUNT_AGAIN],
  ENXIO: ['VaultUnavailable', 'the disk behind the mount is gone', MOUNT_AGAIN],
  ETIMEDOUT: ['VaultUnavailable', 'the server behind the mount does not answer', MOUNT_AGAIN],
  EHOSTDOWN: ['VaultUnavailable', 'the server behind the mount does not answer', MOUNT_AGAIN],
  EHOSTUNREACH: ['VaultUnavailable', 'the server behind the mount does not answer', MOUNT_AGAIN],
  EKEYEXPIRED: ['VaultUnavailable', 'the Kerberos ticket for the mount has expired', 'renew the ticket of the worker\'s user'],
  ENOKEY: ['VaultUnavailable', 'there is no key or ticket for the mount', 'unlock the file system, or renew the ticket of the worker\'s user'],
  EIO: ['VaultUnavailable', 'its disk or mount reports an input or output error', 'look into the system\'s log (dmesg) on the worker and on the server of the vault'],
  EUCLEAN: ['VaultUnavailable', 'its file system is damaged', 'unmount it and let fsck look at it'],
  EMFILE: ['Busy', 'too many files are open', 'raise the limit of open files (ulimit -n)'],
  ENFILE: ['Busy', 'too many files are open', 'raise the system\'s limit of open files (fs.file-max)'],
  EBUSY: ['Busy', 'its file system says that it is in use', 'find out what else uses it'],
  ETXTBSY: ['Busy', 'its file system says that it is in use', 'find out what else uses it'],
};

/** Makes an error of the vault's file system readable. `doing` is a verb phrase: `write lab/segments/x.tar.gpg`. */
export function vaultError(error: unknown, vault: string, doing: string, facts: FileFacts = {}): DrydockError {
  if (error instanceof DrydockError) return error;
  const code = codeOf(error);
  const [kind, what, remedy] = tell(code, facts) ?? ['VaultUnavailable', error instanceof Error ? error.message : String(error), 'check the disk or the mount of the vault'];
  const { bytesWritten, freeBytes } = facts;
  const details = { ...(bytesWritten === undefined ? {} : { bytesWritten }), ...(freeBytes === undefined ? {} : { freeBytes }), ...(code === undefined ? {} : { code }) };
  return new DrydockError(kind, `cannot ${doing} in ${vault}: ${what}`, { remedy, cause: error, details });
}

function tell(code: string | undefined, { bytesWritten, freeBytes, freeFiles }: FileFacts): Told | undefined {
  const written = bytesWritten === undefined ? '' : ` after ${bytesWritten} bytes of it`;
  const free = typeof freeBytes === 'number' ? `; ${freeBytes} bytes are free` : '';
  switch (code) {
    case 'ENOSPC':
      if (freeFiles === 0) return ['NoSpace', `its file system has no room for one more file (inodes)${written}${free}`, 'remove files there, or make its file system with more inodes; the older backups in the vault are whole'];
      return ['NoSpace', `the disk is full${written}${free}`, ROOM];
    case 'EDQUOT':
      return ['NoSpace', `the quota is used up${written}${free}`, ROOM];
    case 'EFBIG':
      return ['NoSpace', `its file system or the limit of the process (ulimit -f) takes no larger file${written}`, 'set policy.segmentBytes below what it takes (FAT: 4 GiB), raise the limit, or use another file system'];
    default:
      return code === undefined ? undefined : SENTENCES[code];
  }
}
