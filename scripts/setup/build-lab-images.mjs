/** Builds the lab's images for the DTR versions named as arguments; runs under tsx, because the lab is TypeScript. */
import { createRequire } from 'node:module';

// Not by `import`: tsx then gives a CommonJS file a data: URL for its place on Node 20, and the lab reads files beside its sources.
const require = createRequire(import.meta.url);
const { buildDtrImages } = require('../../lab/dtr/images.ts');
const { buildLabImages } = require('../../lab/hosts/image.ts');

const log = (line) => process.stderr.write(`${line}\n`);

await buildLabImages(log);
for (const version of process.argv.slice(2)) await buildDtrImages(version, log);
