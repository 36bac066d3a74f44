/**
 * Who can open what we write: resolved from the cluster's `encryption` configuration.
 * `recipients` names what stands in manifests: `passphrase` or an upper-case key fingerprint.
 */
export interface EncryptionKeys {
  readonly passphrase?: string;
  /** Public keys, armoured. */
  readonly publicKeys: string[];
  /** Stable names of all recipients, sorted. */
  readonly recipients: string[];
}

/** What can open a message: a passphrase and/or unlocked private keys. */
export interface DecryptionKeys {
  readonly passphrase?: string;
  /** Private keys, armoured, with the passphrase that unlocks them. */
  readonly privateKeys: { armored: string; passphrase?: string }[];
}
