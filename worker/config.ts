/** Finding and reading `drydock.yaml`. */
import { readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { configSchema, type Config } from '../domain/config';
import { DrydockError } from '../domain/errors';
import { mistakesOf, type Mistake } from '../domain/mistakes';
import { absolutePaths } from './config-paths';
import { danglingReferences } from './config-references';
import { YamlPlaces } from './yaml-places';

export const CONFIG_FILE = 'drydock.yaml';

/**
 * The configuration file to use: `--config`, then DRYDOCK_CONFIG, then ./drydock.yaml. Undefined when none is named and none lies here.
 * A file that is named but absent is left for `loadConfig` to report.
 */
export function lookForConfig(option?: string): string | undefined {
  const named = option ?? (process.env.DRYDOCK_CONFIG || undefined);
  if (named !== undefined) return path.resolve(named);
  const here = path.resolve(CONFIG_FILE);
  return existsSync(here) ? here : undefined;
}

/** Like `lookForConfig`, but throws InvalidInput when there is no configuration at all. */
export function findConfig(option?: string): string {
  const found = lookForConfig(option);
  if (found !== undefined) return found;
  throw new DrydockError('InvalidInput', `no configuration: --config and DRYDOCK_CONFIG are not given and there is no ${CONFIG_FILE} in ${process.cwd()}`, {
    remedy: 'name the file with --config FILE or DRYDOCK_CONFIG',
  });
}

/**
 * Reads and checks one configuration file. Every path in it comes back absolute; relative ones count from the file's own directory.
 * Throws InvalidInput with a sentence for each wrong field, on a line of its own: what was expected, and the line where it stands.
 */
export async function loadConfig(file: string): Promise<Config> {
  const text = await readConfig(file);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors[0];
  if (syntax) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw invalid([`this is not YAML: ${syntax.message} (${file}:${line})`]);
  }
  const places = new YamlPlaces(document, lines);
  const parsed = configSchema.safeParse(document.toJS() ?? {});
  const mistakes = parsed.success ? danglingReferences(parsed.data) : mistakesOf(parsed.error, configSchema);
  if (!parsed.success || mistakes.length > 0) throw invalid(mistakes.map((mistake) => sentence(mistake, file, places)));
  return absolutePaths(parsed.data, path.dirname(path.resolve(file)));
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown error'})`;
    throw new DrydockError('InvalidInput', `the configuration file ${file} ${why}`, { remedy: 'check --config or DRYDOCK_CONFIG', cause });
  }
}

function sentence({ field, problem, path: place }: Mistake, file: string, places: YamlPlaces): string {
  return `${field === '' ? '' : `${field}: `}${problem} (${file}:${places.line(place)})`;
}

function invalid(sentences: string[]): DrydockError {
  return new DrydockError('InvalidInput', sentences.length === 1 ? sentences[0]! : [`there are ${sentences.length} mistakes in the configuration:`, ...sentences].join('\n  '), { remedy: 'correct the configuration file and start again' });
}
