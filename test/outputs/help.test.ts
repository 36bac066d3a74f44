import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { createProgram } from '../../client/program';
import { assertStored } from './stored';

/** Commander asks the terminal for its width; a pipe has 80. */
const COLUMNS = [80, 120];

describe('the help of the command', () => {
  const program = createProgram('0.0.0', () => undefined);

  for (const [name, command] of [['drydock', program] as const, ...commandsOf(program, 'drydock')]) {
    it(`of \`${name}\` is the stored one, at each width`, () => {
      const forms = COLUMNS.map((columns) => [`${columns} columns`, { code: 0, text: helpOf(command, columns) }] as const);
      for (const [columns, { text }] of forms) for (const line of text.split('\n')) assert.ok(line.length <= parseInt(columns, 10), `wider than ${columns}: ${line}`);
      assertStored(`help-${name.replaceAll(' ', '-')}`, `${name} --help`, forms);
    });
  }
});

function commandsOf(command: Command, name: string): [string, Command][] {
  return command.commands.flatMap((child): [string, Command][] => [[`${name} ${child.name()}`, child], ...commandsOf(child, `${name} ${child.name()}`)]);
}

function helpOf(command: Command, columns: number): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => columns });
  command.outputHelp();
  return text;
}
