import readline from 'node:readline';
import { Writable } from 'node:stream';

/** Something is missing and nobody is there to be asked. */
export class CannotPrompt extends Error {
  override readonly name = 'CannotPrompt';
}

/** Asks on the terminal. Without one: CannotPrompt, in the vendor's words. */
export function prompt(what: string, secret = false): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new CannotPrompt(`cannot prompt for ${secret ? 'a password' : what} because the container was not started in tty mode (-t)`);
  }
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stderr.write(`${what}: `);
  const reader = readline.createInterface({ input: process.stdin, output: secret ? silent : process.stderr, terminal: true });
  return new Promise((resolve) => {
    reader.question('', (answer) => {
      reader.close();
      if (secret) process.stderr.write('\n');
      resolve(answer.trim());
    });
  });
}
