/** How far the filling of one vault has come, told the same by every attempt: one that was cut left whole objects there, which count. */
import { z } from 'zod';
import type { Progress } from '../restore/progress';

/** More ids are neither kept for a retry nor shown in a result. */
const MOST_IDS = 200;

/** What the first attempt found, and what came of it since. */
const cursorSchema = z.object({ bytesTotal: z.number(), wanted: z.array(z.string()), backupsTotal: z.number(), already: z.number(), objects: z.number(), bytes: z.number() });

export interface Found {
  /** Backups that the copy lacks now, in the order in which they are brought. */
  wanted: readonly string[];
  /** Bytes of theirs that are not there now. */
  lacking: number;
  /** Sealed there now. */
  already: readonly string[];
}

export class Tally {
  /** Objects and bytes that this step has moved, in all of its attempts. */
  objects = 0;
  bytes = 0;
  private bytesDone = 0;
  private bytesTotal = 0;
  private backupsDone = 0;
  private backupsTotal = 0;
  private wanted: readonly string[] = [];
  private already = 0;

  constructor(private readonly progress: Progress, private readonly vaultName: string) {}

  /** Call once, before the first backup is brought. Returns what of this step's work an earlier attempt has sealed, and how many were sealed before any. */
  begin({ wanted, lacking, already }: Found): { sealed: string[]; already: number } {
    const before = cursorSchema.safeParse(this.progress.remembered).data;
    this.bytesTotal = Math.max(before?.bytesTotal ?? 0, lacking);
    this.bytesDone = this.bytesTotal - lacking;
    this.backupsTotal = Math.max(before?.backupsTotal ?? 0, wanted.length);
    this.backupsDone = this.backupsTotal - wanted.length;
    this.objects += before?.objects ?? 0;
    this.bytes += before?.bytes ?? 0;
    this.wanted = before?.wanted ?? wanted.slice(0, MOST_IDS);
    this.already = before?.already ?? already.length;
    const there = new Set(already);
    this.show();
    this.remember();
    return { sealed: (before?.wanted ?? []).filter((id) => there.has(id)), already: this.already };
  }

  moved(bytes: number): void {
    this.bytes += bytes;
    this.bytesDone += bytes;
    this.show();
  }

  objectDone(): void {
    this.objects += 1;
    this.remember();
  }

  backupDone(): void {
    this.backupsDone += 1;
    this.show();
    this.remember();
  }

  private show(): void {
    const { bytesDone, backupsDone, backupsTotal } = this;
    this.progress.update({ phase: `copying to ${this.vaultName}`, bytesDone, bytesTotal: Math.max(this.bytesTotal, bytesDone), itemsDone: backupsDone, itemsTotal: backupsTotal });
  }

  private remember(): void {
    const { bytesTotal, wanted, backupsTotal, already, objects, bytes } = this;
    // Before the plan is made there is nothing to go on from.
    if (backupsTotal > 0) this.progress.remember({ bytesTotal, wanted, backupsTotal, already, objects, bytes });
  }
}
