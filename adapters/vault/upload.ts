/** What all kinds of vault have in common where one object is written: bytes come through a stream, and it ends once, one way or the other. */
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { uploadOver } from './probe';
import type { VaultUpload } from './vault';

/** What one kind of vault does with the bytes of an upload. Its errors are the ones that people read. */
export interface UploadSink {
  /** Takes the bytes in; their memory belongs to the giver again when it returns. */
  write(chunks: Buffer[]): Promise<void>;
  /** Called after the last write. */
  flush(): Promise<void>;
  /** Gives the object its name, durably. Throws Conflict when the name exists. */
  keep(): Promise<void>;
  /** Removes what was written. Called at most once, and never after `keep` has succeeded. */
  discard(): Promise<void>;
}

export class Upload implements VaultUpload {
  readonly stream: Writable;
  private state: 'open' | 'committed' | 'aborted' = 'open';

  /** `bufferBytes`: how much may wait for the sink. */
  constructor(
    private readonly name: string,
    private readonly sink: UploadSink,
    bufferBytes = 1 << 20,
  ) {
    const pass = (work: Promise<void>, done: (error?: Error | null) => void): void => {
      work.then(() => done(), (error: Error) => done(error));
    };
    this.stream = new Writable({
      highWaterMark: bufferBytes,
      write: (chunk: Buffer, _encoding, done) => pass(sink.write([chunk]), done),
      writev: (chunks: { chunk: Buffer }[], done) => pass(sink.write(chunks.map(({ chunk }) => chunk)), done),
      final: (done) => pass(sink.flush(), done),
    });
    // Whoever pipes into the stream sees its error; without a listener an aborted upload would end the process.
    this.stream.on('error', () => undefined);
  }

  async commit(): Promise<void> {
    if (this.state !== 'open') throw uploadOver(this.name, this.state);
    try {
      if (!this.stream.writableEnded) this.stream.end();
      await finished(this.stream);
      await this.sink.keep();
      this.state = 'committed';
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'aborted';
    this.stream.destroy();
    await this.sink.discard();
  }
}
