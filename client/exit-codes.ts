/** The exit codes in the help; a test holds them equal to EXIT, which is not loaded here for the sake of a quick `--help`. */
export const EXIT_CODE_MEANINGS: Record<number, string> = {
  0: 'done',
  1: 'failed, or refused before anything was changed',
  2: 'wrong usage, wrong input or wrong configuration',
  3: 'the backup is sealed, but incomplete',
  4: 'cancelled, rejected at a gate, or the vote was not taken',
  5: 'Temporal, a host, the registry or the vault cannot be reached',
  6: 'a verification has findings',
  10: 'no such cluster, backup or run',
  11: 'another operation holds the cluster',
  130: 'interrupted; a run that was watched goes on',
};

export const EXIT_CODES_HELP = `\nExit codes:\n${Object.entries(EXIT_CODE_MEANINGS)
  .map(([code, meaning]) => `  ${code.padStart(3)}  ${meaning}\n`)
  .join('')}`;
