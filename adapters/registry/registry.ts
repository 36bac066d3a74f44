/** The registry's own API (distribution v2) with token authentication, for proving pulls by digest. */
export interface Registry {
  /** Manifest by digest or tag; the body is checked against the digest. Throws NotFound (MANIFEST_UNKNOWN, BLOB_UNKNOWN), IntegrityMismatch. */
  manifest(repository: string, reference: string): Promise<{ digest: string; mediaType: string; body: Buffer }>;
  /** Reads the whole blob, hashing it; returns its size. Throws NotFound, IntegrityMismatch. */
  checkBlob(repository: string, digest: string): Promise<number>;
  close(): Promise<void>;
}
