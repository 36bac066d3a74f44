/**
 * Every call that Drydock makes to the outside, against what can go wrong with it: the way round or the sentence, and the test that shows it.
 * `docs/outside-calls.md` prints it.
 */
import type { OutsideCall } from './rows';
import { SERVICES } from './services';
import { STORAGE } from './storage';

export const OUTSIDE_CALLS: OutsideCall[] = [...STORAGE, ...SERVICES];

/** The table as it stands in docs/. */
export function outsideCallsPage(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  const lines = OUTSIDE_CALLS.map(({ call, fault, when, then, test: [file] }) => `| ${cell(call)} | ${fault} | ${cell(when)} | ${cell(then)} | \`${file}\` |`);
  return [
    '# What the outside may lack or refuse', '',
    'Every call to a file system, server or tool can be absent, refused, cut, slow, or answered with what is not so. What a server or file system lacks is found out at `vault init` and at each check, and met by another way or by',
    'one sentence. This page is printed from `test/outside/calls.ts`, and a test holds it to that (`DRYDOCK_TEST_WRITE=1` writes it anew).', '',
    '| Call | Fault | What happens there | What Drydock does | Test |', '|---|---|---|---|---|', ...lines, '',
  ].join('\n');
}
