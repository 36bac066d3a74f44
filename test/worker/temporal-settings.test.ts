import assert from 'node:assert/strict';
import { configSchema } from '../../domain/config';
import { temporalSettings, workflowUrl } from '../../worker/temporal-settings';

describe('links to the Temporal UI', () => {
  const NAMES = ['TEMPORAL_ADDRESS', 'TEMPORAL_UI_URL'] as const;
  const before = NAMES.map((name) => process.env[name]);
  const section = (values: object) => configSchema.shape.temporal.parse(values);
  const link = (values: object, env: Partial<Record<(typeof NAMES)[number], string>> = {}): string | null => {
    for (const name of NAMES) process.env[name] = env[name] ?? '';
    return workflowUrl(temporalSettings(section(values)), 'backup/lab/x');
  };
  after(() => NAMES.forEach((name, at) => (before[at] === undefined ? delete process.env[name] : (process.env[name] = before[at]))));

  it('lead to the UI that the configuration names for its own server', () => {
    assert.equal(link({}), 'http://127.0.0.1:8233/namespaces/default/workflows/backup%2Flab%2Fx');
    assert.match(link({ address: 'temporal.example.com:7233', uiUrl: 'https://ui.example.com/' }) ?? '', /^https:\/\/ui\.example\.com\/namespaces/);
  });

  it('are left out for a server whose UI nobody has named', () => {
    assert.equal(link({}, { TEMPORAL_ADDRESS: '127.0.0.1:7300' }), null);
    assert.equal(link({ address: 'temporal.example.com:7233' }), null);
  });

  it('follow TEMPORAL_UI_URL', () => {
    assert.match(link({}, { TEMPORAL_ADDRESS: '127.0.0.1:7300', TEMPORAL_UI_URL: 'http://127.0.0.1:8300' }) ?? '', /^http:\/\/127\.0\.0\.1:8300\//);
  });
});
