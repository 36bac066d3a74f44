import assert from 'node:assert/strict';
import path from 'node:path';
import { ESLint } from 'eslint';

const ROOT = path.resolve(__dirname, '..', '..');

describe('lint', function () {
  // The first file makes the type checker read the whole tree.
  this.timeout(300_000);
  // Under CI=true the type checker would take the files once from disk and not see the texts below.
  const parserOptions = { disallowAutomaticSingleRunInference: true };
  const eslint = new ESLint({ cwd: ROOT, overrideConfig: { languageOptions: { parserOptions } } });

  /** Rules that `text` breaks when it stands in `file`. */
  async function broken(file: string, text: string): Promise<string[]> {
    const [result] = await eslint.lintText(text, { filePath: path.join(ROOT, file) });
    return (result?.messages ?? []).map((message) => `${message.ruleId ?? 'parse'}: ${message.message}`);
  }

  it('finds nothing in the whole tree', async () => {
    const results = await eslint.lintFiles(['.']);
    const findings = results.flatMap((result) => result.messages.map((message) => `${path.relative(ROOT, result.filePath)}:${message.line} ${message.message}`));
    assert.deepEqual(findings, []);
  });

  const arrows = [
    { file: 'domain/errors.ts', text: "import type { Vault } from '../adapters/vault/vault';\nexport type V = Vault;\n", refused: /no arrow from domain to adapters/ },
    { file: 'domain/errors.ts', text: "import { join } from 'node:path';\nexport const x = join('a');\n", refused: /This room is pure/ },
    { file: 'domain/errors.ts', text: 'export const now = Date.now();\n', refused: /The domain has no clock/ },
    { file: 'adapters/vault/vault.ts', text: "import { labNames } from '../../lab/contract';\nexport const x = labNames;\n", refused: /no arrow from adapters to lab/ },
    { file: 'lab/contract.ts', text: "import { quoteCommand } from '../adapters/host/quote';\nexport const x = quoteCommand;\n", refused: /no arrow from lab to adapters/ },
  ];
  for (const { file, text, refused } of arrows) {
    it(`refuses in ${file}: ${text.split('\n')[0] ?? ''}`, async () => {
      const messages = await broken(file, text);
      assert.ok(messages.some((message) => refused.test(message)), messages.join('\n'));
    });
  }

  it('refuses a promise that nobody waits for', async () => {
    const messages = await broken('domain/errors.ts', 'export const f = async (): Promise<void> => undefined;\nf();\n');
    assert.ok(messages.some((message) => message.startsWith('@typescript-eslint/no-floating-promises')), messages.join('\n'));
  });

  it('refuses a promise that nobody waits for in set-up as well', async () => {
    const messages = await broken('scripts/build.mjs', 'const later = async () => 1;\nlater();\n');
    assert.deepEqual(messages.map((message) => message.split(':')[0]), ['@typescript-eslint/no-floating-promises']);
  });

  it('accepts an adapter that imports the domain', async () => {
    const messages = await broken('adapters/vault/vault.ts', "import type { ErrorKind } from '../../domain/errors';\nexport type X = ErrorKind;\n");
    assert.deepEqual(messages.filter((message) => message.startsWith('boundaries/')), []);
  });
});
