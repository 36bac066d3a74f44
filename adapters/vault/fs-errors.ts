import { DrydockError } from '../../domain/errors';

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}

/** Makes an error of the vault's file system readable. `doing` is a verb phrase: `write lab/segments/x.tar.gpg`. */
export function vaultError(error: unknown, vault: string, doing: string, details: { bytesWritten?: number; freeBytes?: number | null } = {}): DrydockError {
  if (error instanceof DrydockError) return error;
  const code = codeOf(error);
  const options = { cause: error, details: { ...details, ...(code === undefined ? {} : { code }) } };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT': {
      const written = details.bytesWritten === undefined ? '' : ` after ${details.bytesWritten} bytes of it`;
      const free = typeof details.freeBytes === 'number' ? `; ${details.freeBytes} bytes are free` : '';
      const what = code === 'EDQUOT' ? 'the quota is used up' : 'the disk is full';
      return new DrydockError('NoSpace', `cannot ${doing} in ${vault}: ${what}${written}${free}`, { ...options, remedy: 'make room in the vault; the older backups in it are whole' });
    }
    case 'EACCES':
    case 'EPERM':
      return new DrydockError('NotPermitted', `cannot ${doing} in ${vault}: permission denied`, { ...options, remedy: 'give the worker\'s user the right to write there, on a file system that has hard links' });
    case 'EROFS':
      return new DrydockError('NotPermitted', `cannot ${doing} in ${vault}: it is mounted read-only`, { ...options, remedy: 'mount it for writing' });
    case 'ENOENT':
    case 'ENOTDIR':
      return new DrydockError('NotFound', `cannot ${doing} in ${vault}: it is not there`, { ...options, remedy: 'look with `drydock list` what the vault holds' });
    case 'ELOOP':
    case 'EMLINK':
      return new DrydockError('Refused', `cannot ${doing} in ${vault}: a symbolic link is in its place`, { ...options, remedy: 'a vault holds plain files only; find out who put the link there' });
    default:
      return new DrydockError('VaultUnavailable', `cannot ${doing} in ${vault}: ${error instanceof Error ? error.message : String(error)}`, { ...options, remedy: 'check the disk or the mount of the vault' });
  }
}
