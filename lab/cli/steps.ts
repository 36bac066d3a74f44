/** Live lines of what the lab is doing, on standard error: standard output belongs to scripts. */
import pc from 'picocolors';

export class Steps {
  private readonly live = process.stderr.isTTY === true;

  /** Shows the step while it runs and its time when it is done. The step may say what it is at with `log`. */
  async run<T>(title: string, act: (log: (line: string) => void) => Promise<T>): Promise<T> {
    const started = Date.now();
    const seconds = (): string => `${((Date.now() - started) / 1000).toFixed(1)} s`;
    let note = '';
    const draw = (): void => {
      const width = (process.stderr.columns ?? 80) - title.length - 14;
      process.stderr.write(`\r\u001b[K${pc.cyan('·')} ${title} ${pc.dim(`${seconds()} ${note.slice(0, Math.max(width, 0))}`)}`);
    };
    const timer = this.live ? setInterval(draw, 200) : undefined;
    if (!this.live) process.stderr.write(`· ${title}\n`);
    const end = (mark: string): void => {
      clearInterval(timer);
      process.stderr.write(`${this.live ? '\r\u001b[K' : ''}${mark} ${title} ${pc.dim(seconds())}\n`);
    };
    try {
      const result = await act((line) => {
        note = line.trim();
        if (!this.live && note !== '') process.stderr.write(`    ${note}\n`);
      });
      end(pc.green('✓'));
      return result;
    } catch (error) {
      end(pc.red('✗'));
      throw error;
    }
  }

  say(line: string): void {
    process.stderr.write(`${line}\n`);
  }
}
