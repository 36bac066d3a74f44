/**
 * Ends the process when both outputs have taken all that was written to them. `process.exit` alone throws away what still waits for a slow
 * reader of a pipe: the end of an archive, for one.
 */
export async function endProcess(status: number): Promise<never> {
  await Promise.all([process.stdout, process.stderr].map(flushed));
  process.exit(status);
}

/** Nobody may read any more (a killed client): that must not keep the process for ever. */
function flushed(output: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    output.once('error', () => resolve());
    output.once('close', () => resolve());
    output.write('', () => resolve());
  });
}
