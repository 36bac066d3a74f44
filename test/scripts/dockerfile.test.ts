import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(__dirname, '../..');
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8');

describe('the image of the worker', () => {
  const [, build = '', last = ''] = read('Dockerfile').split(/^FROM /m);

  it('has the authorities that TLS to Temporal needs: the library under the worker knows no others than the system\'s, and slim images have none', () => {
    assert.match(last, /^RUN apt-get update && apt-get install .*\bca-certificates\b/m);
    assert.ok(last.indexOf('ca-certificates ') < last.indexOf('\nUSER '));
  });

  it('is built from every room that the command and the worker import, each of which its context lets in', () => {
    const rooms = ['domain', 'adapters', 'store', 'activities', 'workflows', 'worker', 'client'];
    assert.deepEqual(rooms.filter((room) => !build.includes(`\nCOPY ${room} ${room}\n`)), []);
    assert.deepEqual(rooms.filter((room) => !read('.dockerignore').split('\n').includes(`!${room}`)), []);
  });
});
