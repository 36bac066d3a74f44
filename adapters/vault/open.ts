import type { VaultConfig } from '../../domain/config';
import { DrydockError } from '../../domain/errors';
import { openDirectoryVault } from './directory';
import { openS3Vault } from './s3';
import { openSftpVault } from './sftp';
import type { Vault } from './vault';

/** The vault that a section of `vaults:` describes. Connects to nothing yet; `close()` it when done. */
export function openVault(settings: VaultConfig): Vault {
  if (settings.directory !== undefined) return openDirectoryVault(settings.directory);
  if (settings.sftp !== undefined) return openSftpVault(settings.sftp);
  if (settings.s3 !== undefined) return openS3Vault(settings.s3);
  throw new DrydockError('InvalidInput', 'a vault without a place was configured', { remedy: 'give it directory, sftp or s3' });
}
