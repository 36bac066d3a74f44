/** SFTP knows few statuses: what is full, taken or crossed all comes as "failure", and the caller has to look again to tell which. */
import { DrydockError } from '../../domain/errors';

export const STATUS = { endOfFile: 1, noSuchFile: 2, permissionDenied: 3, failure: 4, badMessage: 5, unsupported: 8 } as const;

/** Whether the server itself answered with a status (one of these, where any are given). */
export function isStatus(error: unknown, ...codes: number[]): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'number' && (codes.length === 0 || codes.includes(code));
}

/** Makes an error of an SFTP server readable. `doing` is a verb phrase: `write lab/segments/x.tar.gpg`. */
export function sftpError(error: unknown, vault: string, doing: string): DrydockError {
  if (error instanceof DrydockError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (isStatus(error, STATUS.noSuchFile)) {
    return new DrydockError('NotFound', `cannot ${doing} in ${vault}: it is not there`, { remedy: 'look with `drydock list` what the vault holds', cause: error });
  }
  if (isStatus(error, STATUS.permissionDenied)) {
    return new DrydockError('NotPermitted', `cannot ${doing} in ${vault}: permission denied`, { remedy: 'give the SFTP user the right to read and write there', cause: error });
  }
  return new DrydockError('VaultUnavailable', `cannot ${doing} in ${vault}: the server says "${said}"`, { remedy: 'look into the log of the SFTP server', cause: error });
}

/**
 * A write that the server refused with "failure": no room, a quota, or a broken disk. `freeBytes`: what its file system says is free, null when it
 * does not say.
 */
export function noRoom(error: unknown, vault: string, name: string, bytesWritten: number, freeBytes: number | null): DrydockError {
  const details = { bytesWritten, ...(freeBytes === null ? {} : { freeBytes }) };
  const start = `cannot write ${name} in ${vault}:`;
  const after = `after ${bytesWritten} bytes of it`;
  const remedy = 'make room in the vault; the older backups in it are whole';
  if (freeBytes !== null && freeBytes < FULL_BELOW_BYTES) {
    return new DrydockError('NoSpace', `${start} the disk is full ${after}; ${freeBytes} bytes are free`, { remedy, details, cause: error });
  }
  const free = freeBytes === null ? '' : `, although ${freeBytes} bytes are free`;
  return new DrydockError('NoSpace', `${start} the server takes no more ${after}${free}: a quota, most likely`, { remedy: 'raise the quota of the SFTP user or make room; if it is none, look into the log of the SFTP server', details, cause: error });
}

/** Less than one write of ours. */
const FULL_BELOW_BYTES = 1 << 20;
