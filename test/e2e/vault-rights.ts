/** Takes from a lab's worker, for a while, the right to write into its vaults; and looks where it keeps its records then. */
import { mountReadOnly, type ReadOnlyMount } from '../helpers/read-only-mount';
import type { NodeName } from '../../lab/contract';
import { HOST_FOLDER } from '../../store/changes/host-place';
import { editConfig, type Crew } from './crew';
import type { LockedBucket } from './locked-bucket';

export class VaultRights {
  private mount: ReadOnlyMount | undefined;
  private isBucketClosed = false;

  constructor(
    private readonly crew: Crew,
    /** Its keys, and its name in drydock.yaml. */
    private readonly bucket: LockedBucket,
    private readonly bucketName: string,
  ) {}

  /** Mounts the folder of a vault read-only. */
  closeFolder(folder: string): ReadOnlyMount {
    this.mount = mountReadOnly(folder);
    return this.mount;
  }

  /** The worker's keys may only list and get from here on. Starts the worker anew. */
  async closeBucket(): Promise<void> {
    await this.useBucket(await this.bucket.readOnlySettings());
    this.isBucketClosed = true;
  }

  /** Nothing to do where nothing was closed. */
  async open(): Promise<void> {
    this.mount?.remove();
    this.mount = undefined;
    if (this.isBucketClosed) await this.useBucket(this.bucket.settings);
    this.isBucketClosed = false;
  }

  /** For the end of a test, whose worker is stopped anyway. */
  unmount(): void {
    this.mount?.remove();
  }

  /** Names of the records on these hosts. */
  onHosts(...nodes: NodeName[]): string[] {
    const list = `ls ${HOST_FOLDER}/lab 2>/dev/null || true`;
    return nodes.flatMap((node) => this.crew.dtr.on(node, list).stdout.split('\n').filter((name) => name !== '')).sort();
  }

  private async useBucket(s3: object): Promise<void> {
    await editConfig(this.crew.dtr, ({ vaults }) => {
      vaults[this.bucketName] = { s3 };
    });
    await this.crew.killWorker('SIGTERM');
    await this.crew.startWorker();
  }
}

/** What a record is of, by its name. */
export function kindOf(name: string): string {
  return name.split('/').at(-1)!.split('-')[0]!;
}
