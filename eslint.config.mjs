import boundaries from 'eslint-plugin-boundaries';
import tseslint from 'typescript-eslint';

/** Who may import whom: the arrows of the design. What is not listed is refused; a room may always import itself. */
const ARROWS = {
  domain: [],
  workflows: ['domain'],
  adapters: ['domain'],
  store: ['adapters', 'domain'],
  activities: ['store', 'adapters', 'domain'],
  worker: ['activities', 'store', 'adapters', 'domain', 'workflows'],
  client: ['domain', 'store', 'adapters', 'worker'],
  // The stand-in registry reads manifests as we do.
  lab: ['domain'],
  // The demo plays a person at the command and at the lab.
  demo: ['lab', 'client', 'domain'],
  bench: ['domain', 'adapters', 'store', 'activities', 'workflows', 'worker', 'client', 'lab', 'test'],
  test: ['domain', 'adapters', 'store', 'activities', 'workflows', 'worker', 'client', 'lab', 'demo'],
};
/** Folder of a room, where it differs from its name; the inner folder has to stand first. */
const FOLDERS = { demo: 'lab/demo' };
const ROOMS = Object.keys(ARROWS).sort((a, b) => Number(b in FOLDERS) - Number(a in FOLDERS));

const only = (types) => ({ element: { types: { anyOf: types } } });
const policies = [
  ...Object.entries(ARROWS).map(([room, allowed]) => ({ from: { element: { type: room } }, allow: { to: only([room, ...allowed]) } })),
  // The proxies of activities are typed by them; their code never enters the workflow sandbox.
  { from: { element: { type: 'workflows' } }, allow: { to: { element: { type: 'activities' } }, dependency: { kind: 'type' } } },
];

const NODE_MODULES = { group: ['node:*'], message: 'This room is pure: no Node module, no I/O, no clock.' };

/** Left out, it is TRY_CANCEL: what a step changed would be put back while the step still changes it. */
const WAITS_FOR_CANCELLED = {
  selector: "CallExpression[callee.name=/^proxy(Local)?Activities$/]:not(:has(Property[key.name='cancellationType'][value.value='WAIT_CANCELLATION_COMPLETED']))",
  message: "Give cancellationType: 'WAIT_CANCELLATION_COMPLETED' here: a step must have ended before what it did is put back.",
};

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.drydock/', '**/*.d.ts'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { boundaries },
    settings: {
      'boundaries/elements': ROOMS.map((room) => ({ type: room, pattern: `${FOLDERS[room] ?? room}/**`, partialMatch: false })),
      'import/resolver': { node: { extensions: ['.ts', '.js'] } },
    },
    rules: {
      'boundaries/dependencies': ['error', { default: 'disallow', policies, message: 'The design has no arrow from {{from.element.type}} to {{to.element.type}}.' }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/ban-ts-comment': ['error', { 'ts-ignore': true, 'ts-expect-error': 'allow-with-description' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' }],
      // Interfaces of the outside world are promises even where one implementation needs no waiting.
      '@typescript-eslint/require-await': 'off',
      eqeqeq: ['error', 'always'],
    },
  },
  { files: ['domain/**/*.ts'], rules: { 'no-restricted-imports': ['error', { patterns: [NODE_MODULES, { regex: '^(?!\\.|zod$)', message: 'The domain imports zod and itself, nothing else.' }] }], ...pure() } },
  { files: ['workflows/**/*.ts'], rules: { 'no-restricted-imports': ['error', { patterns: [NODE_MODULES] }], 'no-restricted-syntax': ['error', WAITS_FOR_CANCELLED] } },
  // Set-up and the test runner: no types to check, but promises all the same.
  {
    files: ['scripts/**/*.mjs', 'eslint.config.mjs'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { project: './scripts/tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' }],
      'prefer-const': 'error',
      'no-var': 'error',
      'no-unreachable': 'error',
      'no-constant-condition': 'error',
      eqeqeq: ['error', 'always'],
    },
  },
  // Tests state expectations as they read best.
  { files: ['test/**/*.ts', 'bench/**/*.ts'], rules: { '@typescript-eslint/no-unused-expressions': 'off', '@typescript-eslint/unbound-method': 'off' } },
);

/** Clocks and chance make a rule's answer depend on when it is asked. */
function pure() {
  const clock = [
    { object: 'Date', property: 'now', message: 'The domain has no clock: take the time as an argument.' },
    { object: 'Math', property: 'random', message: 'The domain has no chance: take the value as an argument.' },
  ];
  return { 'no-restricted-properties': ['error', ...clock] };
}
