/** Output of processes that run side by side, put in order: the one that began first is shown live, the others wait their turn. */

export class OrderedOutput {
  #write;
  #waiting = [];

  /** @param {(chunk: string | Buffer) => void} write */
  constructor(write) {
    this.#write = write;
  }

  /** A channel whose output comes whole, after that of all channels opened before it. */
  open() {
    const channel = { chunks: [], ended: false };
    this.#waiting.push(channel);
    return {
      write: (chunk) => {
        channel.chunks.push(chunk);
        this.#flush();
      },
      end: () => {
        channel.ended = true;
        this.#flush();
      },
    };
  }

  #flush() {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      for (const chunk of first.chunks.splice(0)) this.#write(chunk);
      if (!first.ended) return;
      this.#waiting.shift();
    }
  }
}
