/* eslint-disable @typescript-eslint/no-require-imports -- The AWS SDK and ssh2 take longer to load than most commands take to run: a kind is loaded when one is opened. */
import type { VaultConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { openDirectoryVault } from './directory';
import type * as S3 from './s3';
import type * as Sftp from './sftp';
import type { Vault } from './vault';

/** The vault that a section of `vaults:` describes. Connects to nothing yet; `close()` it when done. */
export function openVault(settings: VaultConfig): Vault {
  if (settings.directory !== undefined) return openDirectoryVault(settings.directory);
  if (settings.sftp !== undefined) return (require('./sftp') as typeof Sftp).openSftpVault(settings.sftp);
  if (settings.s3 !== undefined) return (require('./s3') as typeof S3).openS3Vault(settings.s3);
  throw new DrydockError('InvalidInput', 'a vault without a place was configured', { remedy: 'give it directory, sftp or s3' });
}
