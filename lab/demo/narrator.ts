/** Tells the story: numbered headings, sentences, and at the end a table of what took how long. */
import type { Console } from '../../client/console';
import { bytes, seconds, table } from '../../client/format';

/** One line of the closing table. */
export interface TableRow {
  title: string;
  seconds: number;
  bytes?: number;
  note?: string;
}

export class Narrator {
  private readonly rows: TableRow[] = [];
  private readonly startedAt = Date.now();
  private chapters = 0;

  constructor(readonly screen: Console) {}

  /** One line. */
  say(text: string): void {
    this.screen.out(text);
  }

  /** A sentence that states a promise that was just seen to hold. */
  seen(text: string): void {
    this.screen.out(`${this.screen.colors.green('✓')} ${text}`);
  }

  /** One part of the story under its heading; its time goes into the closing table, with what `row` adds to it. */
  async chapter<T>(title: string, intro: string, act: () => Promise<T>, row: (result: T) => Omit<Partial<TableRow>, 'title'> = () => ({})): Promise<T> {
    this.chapters += 1;
    this.say('');
    this.say(this.screen.colors.bold(`${this.chapters}. ${title}`));
    this.say(intro);
    this.say('');
    const started = Date.now();
    const result = await act();
    this.rows.push({ title, seconds: (Date.now() - started) / 1000, ...row(result) });
    return result;
  }

  /** A part of the chapter that was told last, such as one stage of a restore. */
  addPart(part: TableRow): void {
    this.rows.push({ ...part, title: `    ${part.title}` });
  }

  closingTable(): void {
    const total: TableRow = { title: 'Whole story', seconds: (Date.now() - this.startedAt) / 1000 };
    const lines = [...this.rows, total].map((row) => [row.title, seconds(row.seconds), row.bytes === undefined ? '' : bytes(row.bytes), row.note ?? '']);
    this.say('');
    this.say(this.screen.colors.bold('Stages, times, bytes'));
    for (const line of table([['STAGE', 'TIME', 'BYTES', ''], ...lines])) this.say(`  ${line.trimEnd()}`);
  }
}
