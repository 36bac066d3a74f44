/** Where else something lies that is damaged or gone here. */
import { hasDigest } from '../adapters/vault/copy-object';
import type { Vault } from '../adapters/vault/vault';
import { DrydockError } from '../domain/errors';
import type { Cluster } from './cluster';
import type { SealedRecord } from './copy/records';

/** Looks into the cluster's other vaults. One that cannot be reached is asked once and then passed by. */
export class Elsewhere {
  private readonly vaults: Map<string, Vault>;
  private readonly known = new Map<string, Promise<string | null>>();

  constructor(private readonly cluster: Cluster) {
    this.vaults = new Map(cluster.otherVaults().map(({ name, vault }) => [name, vault]));
  }

  /** The name of a vault that holds the object as it was sealed; null when none does. Reads all of it. */
  find(record: SealedRecord): Promise<string | null> {
    const known = this.known.get(record.name) ?? this.look(record);
    this.known.set(record.name, known);
    return known;
  }

  private async look(record: SealedRecord): Promise<string | null> {
    for (const [name, vault] of [...this.vaults]) {
      try {
        if (await hasDigest(vault, record, this.cluster.signal)) return name;
      } catch (error) {
        if (!(error instanceof DrydockError)) throw error;
        this.vaults.delete(name);
      }
    }
    return null;
  }
}
