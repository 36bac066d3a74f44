/**
 * Who can open what we write: resolved from the cluster's `encryption` configuration.
 * `recipients` names what stands in manifests: an upper-case key fingerprint, or a passphrase's name (see passphrase.ts).
 */
export interface EncryptionKeys {
  readonly passphrases: readonly string[];
  /** Public keys, armoured. */
  readonly publicKeys: readonly string[];
  /** Stable names of all recipients, sorted. */
  readonly recipients: string[];
}

/** What can open a message: passphrases and/or unlocked private keys. */
export interface DecryptionKeys {
  readonly passphrases: readonly string[];
  /** Private keys, armoured, with the passphrase that unlocks them. */
  readonly privateKeys: readonly { armored: string; passphrase?: string }[];
}
