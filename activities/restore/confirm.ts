/** Stage 5: the restored registry as its users see it, through the external URL, against the backup. */
import { createHash } from 'node:crypto';
import type { Dtr, RemoteTag, TeamAccess } from '../../adapters/dtr/dtr';
import { DrydockError } from '../../domain/errors';
import type { Manifest } from '../../domain/manifest';
import { canonicalJson, type RestoreDecisions } from '../../domain/plan';
import { hideCredentials } from '../../domain/proxies';
import { firstOf } from '../../domain/shown';
import type { Cluster } from '../cluster';
import type { Confirmed } from '../contract';
import { readDecided } from './backup';
import { expectedAccess, expectedTags, type ExpectedRepository, type ExpectedTag } from './expected';
import type { Progress } from './progress';
import { Puller } from './pull';

/** Images pulled of each repository: the newest of those that the backup holds whole. */
const SAMPLE = 2;
const NAMED = 20;
/** Of each list: a result is part of a history, and must stay small. */
const SHOWN = 50;

/** What is found is answered, not thrown: people decide about it. */
export async function confirmRestore(cluster: Cluster, { decisions }: { decisions: RestoreDecisions }, progress: Progress): Promise<Confirmed> {
  const manifest = await readDecided(cluster, decisions);
  const dtr = await cluster.dtr();
  const differences = [...(await compareSettings(dtr, manifest)), ...(await compareCertificate(dtr, manifest))];
  const { repositories: expected, namespaces } = await expectedAccess(cluster, manifest);
  for (const [namespace, teams] of namespaces) differences.push(...(await compareNamespace(dtr, namespace, teams)));
  const tags = await expectedTags(cluster, manifest);
  const live = new Map((await dtr.repositories()).map((repository) => [`${repository.namespace}/${repository.name}`, repository]));
  const puller = new Puller(await cluster.registry(), (bytes) => progress.update({ bytesDone: bytes }));
  const missing: string[] = [];
  const notJudged: string[] = [];
  let confirmed = 0;
  let pulled = 0;
  const names = [...new Set([...expected.keys(), ...tags.keys()])].sort();
  for (const [at, name] of names.entries()) {
    progress.update({ phase: `confirming ${name}`, itemsDone: at, itemsTotal: names.length });
    const wanted = tags.get(name) ?? [];
    const repository = live.get(name);
    if (repository === undefined) {
      const whole = wanted.filter(isWhole);
      missing.push(...whole.map((tag) => `${name}:${tag.name}: its repository is not there`));
      // What the metadata does not name was being made or deleted when it was backed up.
      if (expected.has(name) || whole.length > 0) differences.push(`the repository ${name} is not there`);
      continue;
    }
    differences.push(...(await compareRepository(dtr, name, repository.visibility, expected.get(name))));
    const found = await tagsOf(dtr, name);
    const compared = compareTags(name, wanted, found);
    missing.push(...compared.missing);
    differences.push(...compared.differences);
    notJudged.push(...compared.notJudged);
    confirmed += compared.same.length;
    if (decisions.storage.kind === 'external') continue;
    for (const tag of sampleOf(compared.same, found)) {
      const found = await pullOf(puller, name, tag.digest);
      if (found.why === null) pulled += 1;
      else missing.push(`${name}:${tag.name}: ${found.why}`);
      notJudged.push(...found.notJudged.map((what) => `${name}:${tag.name}: ${what}`));
    }
  }
  differences.push(...strangers(live.keys(), names));
  return {
    repositories: names.length, tags: confirmed, pulled,
    differences: differences.slice(0, SHOWN), differenceCount: differences.length,
    missing: missing.slice(0, SHOWN), missingCount: missing.length,
    notJudged: firstOf(notJudged, SHOWN),
    digest: createHash('sha256').update(canonicalJson({ differences, missing })).digest('hex'),
  };
}

function isWhole({ state }: ExpectedTag): boolean {
  return state === 'whole';
}

async function tagsOf(dtr: Dtr, name: string): Promise<RemoteTag[]> {
  const slash = name.indexOf('/');
  return dtr.tags(name.slice(0, slash), name.slice(slash + 1));
}

const NOT_COMPARED = { inFlight: 'it was in flight during the backup', gap: 'it was broken before the backup', acceptedGap: 'it lacks what people have accepted' } as const;

function compareTags(repository: string, wanted: ExpectedTag[], found: RemoteTag[]): Record<'missing' | 'differences' | 'notJudged', string[]> & { same: ExpectedTag[] } {
  const live = new Map(found.map((tag) => [tag.name, tag.digest]));
  const whole = wanted.filter(isWhole);
  const same = whole.filter(({ name, digest }) => live.get(name) === digest);
  const missing = whole
    .filter(({ name, digest }) => live.get(name) !== digest)
    .map(({ name }) => `${repository}:${name}: ${live.has(name) ? 'the tag names another image' : 'the tag is not there'}`);
  const known = new Set(wanted.map(({ name }) => name));
  const more = found.filter(({ name }) => !known.has(name)).map(({ name }) => name);
  // The backup itself says so: nothing that people would have to accept once more.
  const notJudged = wanted.flatMap(({ name, state }) => (state === 'whole' ? [] : [`${repository}:${name}: ${NOT_COMPARED[state]}, so it was not compared`]));
  return { same, missing, differences: [...(more.length > 0 ? [`${repository} has tags that the backup does not: ${some(more)}`] : [])], notJudged };
}

function sampleOf(same: ExpectedTag[], found: RemoteTag[]): ExpectedTag[] {
  const time = new Map(found.map(({ name, updatedAt, createdAt }) => [name, updatedAt ?? createdAt ?? '']));
  return [...same].sort((a, b) => (time.get(b.name) ?? '').localeCompare(time.get(a.name) ?? '') || a.name.localeCompare(b.name)).slice(0, SAMPLE);
}

/** `why` says what is not there or damaged; what keeps us from looking is thrown. */
async function pullOf(puller: Puller, repository: string, digest: string): Promise<{ why: string | null; notJudged: string[] }> {
  try {
    return { why: null, notJudged: await puller.pull(repository, digest) };
  } catch (error) {
    if (error instanceof DrydockError && (error.kind === 'NotFound' || error.kind === 'IntegrityMismatch')) return { why: error.message, notJudged: [] };
    throw error;
  }
}

async function compareRepository(dtr: Dtr, name: string, visibility: string, expected: ExpectedRepository | undefined): Promise<string[]> {
  if (expected === undefined) return [];
  const differences = visibility === expected.visibility ? [] : [`${name} is ${visibility}, in the backup it is ${expected.visibility}`];
  const slash = name.indexOf('/');
  const live = (await accessIfShown(() => dtr.teamAccess(name.slice(0, slash), name.slice(slash + 1)))) ?? [];
  return [...differences, ...compareTeams(name, live, expected.teams)];
}

async function compareNamespace(dtr: Dtr, namespace: string, teams: Map<string, string>): Promise<string[]> {
  const live = await accessIfShown(() => dtr.namespaceAccess(namespace));
  // A version that does not show it cannot be compared.
  return live === null ? [] : compareTeams(`all of ${namespace}`, live, teams);
}

function compareTeams(where: string, live: TeamAccess[], expected: Map<string, string>): string[] {
  const found = new Map(live.map(({ teamId, accessLevel }) => [teamId, accessLevel]));
  return [...new Set([...found.keys(), ...expected.keys()])]
    .map((team) => ({ team, now: found.get(team) ?? 'none', before: expected.get(team) ?? 'none' }))
    .filter(({ now, before }) => now !== before)
    .map(({ team, now, before }) => `the team ${team} has the access "${now}" to ${where}, in the backup "${before}"`);
}

/** Repositories of a user have no teams; some versions answer with an error then. */
async function accessIfShown(ask: () => Promise<TeamAccess[]>): Promise<TeamAccess[] | null> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof DrydockError && (error.kind === 'NotFound' || error.kind === 'InvalidInput')) return null;
    throw error;
  }
}

async function compareSettings(dtr: Dtr, { product: { settings: wanted } }: Manifest): Promise<string[]> {
  const live = await dtr.settings();
  const bare = (url: string): string => url.replace(/^https?:\/\//, '').replace(/\/+$/, '').replace(/:443$/, '');
  const shown = (proxy: unknown): unknown => (typeof proxy === 'string' ? hideCredentials(proxy) : proxy);
  const pairs: [string, unknown, unknown][] = [
    ['external URL', bare(typeof live.dtrHost === 'string' ? live.dtrHost : ''), bare(wanted.externalUrl)],
    // Without credentials: differences stand in histories and reports.
    ['HTTP proxy', shown(live.httpProxy), wanted.httpProxy],
    ['HTTPS proxy', shown(live.httpsProxy), wanted.httpsProxy],
    ['no proxy', live.noProxy, wanted.noProxy],
    ['log protocol', live.logProtocol, wanted.logProtocol],
    ['log host', live.logHost, wanted.logHost],
    ['log level', live.logLevel, wanted.logLevel],
    ['scanning', live.scanningEnabled, wanted.scanningEnabled],
    ['online updates for scanning', live.scanningSyncOnline, wanted.scanningSyncOnline],
  ];
  // A setting that this version does not show cannot be compared.
  return pairs.filter(([, now, before]) => now !== undefined && now !== before).map(([what, now, before]) => `the setting ${what} is "${String(now)}", in the backup "${String(before)}"`);
}

async function compareCertificate(dtr: Dtr, { product: { settings } }: Manifest): Promise<string[]> {
  if (settings.certificateFingerprint === '') return [];
  const plain = (fingerprint: string): string => fingerprint.replaceAll(':', '').toUpperCase();
  const now = await dtr.certificateFingerprint();
  return plain(now) === plain(settings.certificateFingerprint) ? [] : [`the certificate is ${now}, in the backup ${settings.certificateFingerprint}`];
}

function strangers(live: Iterable<string>, expected: string[]): string[] {
  const known = new Set(expected);
  const more = [...live].filter((name) => !known.has(name));
  return more.length === 0 ? [] : [`there are repositories that the backup does not know: ${some(more)}`];
}

function some(names: string[]): string {
  return names.length <= NAMED ? names.join(', ') : `${names.slice(0, NAMED).join(', ')} and ${names.length - NAMED} more`;
}
