/** Builds the lab's images for the DTR versions named as arguments; runs under tsx, because the lab is TypeScript. */
import { buildDtrImages } from '../../lab/dtr/images.ts';
import { buildLabImages } from '../../lab/hosts/image.ts';

const log = (line) => process.stderr.write(`${line}\n`);

await buildLabImages(log);
for (const version of process.argv.slice(2)) await buildDtrImages(version, log);
