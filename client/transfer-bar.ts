/** Progress of work that this process does itself: a bar with rate and remaining time for a person, a line now and then elsewhere. */
import { SingleBar } from 'cli-progress';
import type { Console } from './console';
import { bytes, seconds } from './format';

const LINE_EVERY_MS = 10_000;

export class TransferBar {
  private readonly started = Date.now();
  private readonly bar: SingleBar | undefined;
  private nextLine = Date.now() + LINE_EVERY_MS;

  constructor(
    private readonly screen: Console,
    private readonly what: string,
    private readonly totalBytes: number,
  ) {
    if (!screen.interactive) return;
    this.bar = new SingleBar({ format: '  {bar} {text}', barsize: 24, hideCursor: true, clearOnComplete: true, linewrap: false, stream: process.stderr, barCompleteChar: '█', barIncompleteChar: '░' });
    this.bar.start(Math.max(1, totalBytes), 0, { text: this.text(0) });
  }

  update(done: number): void {
    if (this.bar) {
      this.bar.update(Math.min(done, this.totalBytes), { text: this.text(done) });
    } else if (Date.now() >= this.nextLine) {
      this.nextLine = Date.now() + LINE_EVERY_MS;
      this.screen.say(this.text(done));
    }
  }

  end(): void {
    this.bar?.stop();
  }

  private text(done: number): string {
    const passed = (Date.now() - this.started) / 1000;
    const rate = passed > 0 ? done / passed : 0;
    const share = this.totalBytes > 0 ? Math.min(100, Math.floor((100 * done) / this.totalBytes)) : 100;
    const left = rate > 0 ? `, ${bytes(Math.round(rate))}/s, ${seconds(Math.max(0, this.totalBytes - done) / rate)} left` : '';
    return `${this.what} ${bytes(done)} of ${bytes(this.totalBytes)} (${share} %)${left}`;
  }
}
