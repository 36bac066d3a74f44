'use strict';
/**
 * Lets `require` read TypeScript: `node --require scripts/tests/typescript.cjs`. Does for the tests what tsx does, without hooks for ES modules, which cost each process and each
 * thread of the tests more than most tests do. What was translated is kept in .drydock/translated, by the digest of the source.
 */
const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { isMainThread, threadId } = require('node:worker_threads');

const ROOT = path.resolve(__dirname, '..', '..');
const KEPT = path.join(ROOT, '.drydock', 'translated');
const { version } = require('esbuild/package.json');

mkdirSync(KEPT, { recursive: true });
process.setSourceMapsEnabled(true);
// Threads are started with it (adapters/stream/thread.ts).
if (isMainThread) process.env.DRYDOCK_TYPESCRIPT = __filename;

Module._extensions['.ts'] = (module, file) => {
  const source = readFileSync(file);
  const kept = path.join(KEPT, `${createHash('sha256').update(`${version}\0${file}\0`).update(source).digest('hex')}.js`);
  module._compile(read(kept) ?? translate(file, source, kept), file);
};

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function translate(file, source, kept) {
  const { code } = require('esbuild').transformSync(source, { loader: 'ts', format: 'cjs', platform: 'node', target: 'node20', sourcefile: file, sourcemap: 'inline', sourcesContent: false });
  // Aside first: processes translate side by side.
  const aside = `${kept}.${process.pid}.${threadId}`;
  writeFileSync(aside, code);
  renameSync(aside, kept);
  return code;
}
