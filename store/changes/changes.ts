/**
 * One writer and one reader for all that an operation changes outside. A record goes to every vault of the cluster that takes it and to the worker's stateDir;
 * where no vault does, to the hosts that are changed. What counts is the newest revision that is found anywhere.
 */
import { changeSchema, newestOf, type Change, type FoundChange } from '../../domain/changes';
import { DrydockError } from '../../domain/errors';
import { RECORD_NAME, recordName, type ChangePlace } from './place';

/** A place that could not be used, and why. */
export interface PlaceFault {
  place: string;
  why: string;
}

export interface ChangesFound {
  /** Records that stand, oldest first. */
  changes: Change[];
  /** Places that could not be read: what lies there only is not known. */
  unread: PlaceFault[];
  /** Files that are no records of a form that this version knows, and whose record is not readable elsewhere either. */
  damaged: { place: string; name: string }[];
}

export interface Places {
  /** All vaults of the cluster. */
  vaults: readonly ChangePlace[];
  worker: ChangePlace;
  /** Id of this worker's installation. Throws DrydockError where stateDir cannot be used. */
  workerId: () => Promise<string>;
  /** By node. Opened when no vault takes a record, and by whoever reads with `hosts`. */
  hosts: ReadonlyMap<string, ChangePlace>;
}

/** In `notEndedIn`: the stateDir of an installation. */
const WORKER = 'stateDir of ';
const workerName = (id: string): string => `${WORKER}${id}`;
/** A worker that was not heard of for so long does not come back with its old stateDir. */
const FORGOTTEN_MS = 90 * 86_400_000;

interface Looked extends ChangesFound {
  found: FoundChange[];
  /** Names of files of a record, by place. */
  files: Map<ChangePlace, string[]>;
  looked: ChangePlace[];
}

export class Changes {
  constructor(private readonly places: Places) {}

  /** Never throws because of a place that cannot be read. `hosts`: also those on hosts. */
  async read(options: { hosts?: boolean } = {}): Promise<ChangesFound> {
    const { changes, unread, damaged } = await this.look(this.usual(options.hosts ?? false));
    return { changes, unread, damaged };
  }

  /**
   * Writes a record, or its next revision. Throws what the first vault said when no vault takes it and no host of `hosts` does either; with `onWorker` the
   * worker's own stateDir is enough then. Returns the revision as it was written, and the vaults that did not take it.
   */
  async write<C extends Change>(change: C, options: { hosts?: readonly string[]; onWorker?: boolean } = {}): Promise<{ change: C; refused: PlaceFault[] }> {
    const { vaults, worker } = this.places;
    const name = recordName(change);
    const me = await this.me();
    const whole = { ...change, onWorkers: [...new Set([...change.onWorkers, ...me])] };
    const inVaults = await this.each(vaults, (place) => place.put(name, textOf(whole)));
    let written = whole;
    let hostFaults: PlaceFault[] = [];
    if (inVaults.done.length === 0 && (options.hosts ?? []).length > 0) {
      const hosts = this.hostsOf(options.hosts ?? []);
      written = { ...whole, onHosts: [...new Set([...change.onHosts, ...(options.hosts ?? [])])] };
      const onHosts = await this.each(hosts, (place) => place.put(name, textOf(written)));
      hostFaults = onHosts.faults;
      if (onHosts.done.length === 0) written = whole;
    }
    const here = await this.each([worker], (place) => place.put(name, textOf(written)));
    const isKept = inVaults.done.length > 0 || written !== whole;
    if (!isKept && (options.onWorker !== true || here.done.length === 0)) {
      for (const place of here.done) await place.remove(name).catch(() => undefined);
      throw inVaults.errors[0] ?? here.errors[0] ?? new DrydockError('VaultUnavailable', 'there is no place where a change could be recorded', { remedy: 'check the vaults of the cluster' });
    }
    return { change: written, refused: [...inVaults.faults, ...hostFaults] };
  }

  /** The next revision; the one before it goes where this one was taken. */
  async update<C extends Change>(before: C, change: Partial<Pick<C, 'state'>> & Partial<C>, options: { hosts?: readonly string[]; onWorker?: boolean } = {}): Promise<C> {
    const next = { ...before, ...change, revision: before.revision + 1 };
    const { change: written, refused } = await this.write(next, { ...options, hosts: [...new Set([...before.onHosts, ...(options.hosts ?? [])])] });
    const failed = new Set(refused.map(({ place }) => place));
    const taken = [...this.places.vaults, ...this.hostsOf(written.onHosts), this.places.worker].filter(({ name }) => !failed.has(name));
    await this.each(taken, (place) => place.remove(recordName(before)));
    return written;
  }

  /**
   * Removes a record wherever it lies. A place that cannot be reached, and the stateDir of another worker, may hold it still: then a note that it has ended is
   * left in the others, which counts more as the newest revision, and goes when all of those were reached. Returns sentences where not even a note could be left.
   */
  async end(change: Change): Promise<string[]> {
    const places = [...this.usual(false), ...this.hostsOf(change.onHosts)];
    const faults = await this.removeFiles(places, change.id);
    const me = new Set(await this.me());
    const { worker } = this.places;
    const away = faults.filter(({ place }) => place !== worker.name).map(({ place }) => place);
    const workers = change.onWorkers.filter((id) => !me.has(id) || faults.some(({ place }) => place === worker.name)).map(workerName);
    if (faults.length === 0 && workers.length === 0) return [];
    const left = new Set(faults.map(({ place }) => place));
    const isNoted = await this.note({ ...change, revision: change.revision + 1, state: 'ended', notEndedIn: [...away, ...workers] }, places.filter(({ name }) => !left.has(name)));
    if (isNoted) return [];
    return faults.map(({ place, why }) => `The record ${change.id} of ${change.operation} could not be removed from ${place} (${why}); \`drydock reconcile ${change.cluster}\` does it later.`);
  }

  /** Removes what is left of ended records, and their notes once every place that was away has been reached or is configured no longer. */
  async tidy(options: { hosts?: boolean } = {}): Promise<void> {
    const withHosts = options.hosts ?? false;
    const looked = await this.look(this.usual(withHosts));
    const ended = newestOf(looked.found).filter(({ state }) => state === 'ended');
    const configured = new Set([...this.usual(true)].map(({ name }) => name));
    const me = (await this.me()).map(workerName);
    for (const change of ended) {
      const reached = new Set<string>();
      for (const place of looked.looked) {
        const live = (looked.files.get(place) ?? []).filter((name) => name.startsWith(`${change.id}.`) && name !== recordName(change));
        const { faults } = await this.each(live, (name) => place.remove(name));
        if (faults.length === 0) for (const name of place === this.places.worker ? me : [place.name]) reached.add(name);
      }
      const isOld = Date.now() - Date.parse(change.recordedAt) > FORGOTTEN_MS;
      const notEndedIn = change.notEndedIn.filter((name) => !reached.has(name) && (configured.has(name) || (name.startsWith(WORKER) && !isOld)));
      if (notEndedIn.length === change.notEndedIn.length && notEndedIn.length > 0) continue;
      const isNoted = notEndedIn.length === 0 || (await this.note({ ...change, revision: change.revision + 1, notEndedIn }, looked.looked));
      if (isNoted) await this.each(looked.looked, (place) => place.remove(recordName(change)));
    }
  }

  /** Under stateDir only where nothing else takes it: what lies there, other workers cannot clear. */
  private async note(note: Change, places: readonly ChangePlace[]): Promise<boolean> {
    const write = async (some: ChangePlace[]): Promise<boolean> => (await this.each(some, (place) => place.put(recordName(note), textOf(note)))).done.length > 0;
    const { worker } = this.places;
    return (await write(places.filter((place) => place !== worker))) || write(places.filter((place) => place === worker));
  }

  private async me(): Promise<string[]> {
    try {
      return [await this.places.workerId()];
    } catch (error) {
      // Without a stateDir nothing lies there.
      if (error instanceof DrydockError) return [];
      throw error;
    }
  }

  /** Which vaults would not take a record now; and, where none would, which of these hosts do. */
  async tryOut(hosts: readonly string[]): Promise<{ refused: PlaceFault[]; isInVaults: boolean; onHosts: string[] }> {
    const vaults = await this.each(this.places.vaults, (place) => place.tryOut());
    if (vaults.done.length > 0) return { refused: vaults.faults, isInVaults: true, onHosts: [] };
    const { done } = await this.each(this.hostsOf(hosts), (place) => place.tryOut());
    return { refused: vaults.faults, isInVaults: false, onHosts: hosts.filter((node) => done.some((place) => place === this.places.hosts.get(node))) };
  }

  private usual(hosts: boolean): ChangePlace[] {
    return [...this.places.vaults, this.places.worker, ...(hosts ? this.places.hosts.values() : [])];
  }

  private hostsOf(names: readonly string[]): ChangePlace[] {
    return names.flatMap((name) => this.places.hosts.get(name) ?? []);
  }

  private async look(places: ChangePlace[]): Promise<Looked> {
    const found: FoundChange[] = [];
    const broken: { place: string; name: string; id: string }[] = [];
    const files = new Map<ChangePlace, string[]>();
    const { done, faults } = await this.each(places, async (place) => {
      const list = await place.list();
      files.set(place, list.map(({ name }) => name));
      for (const { name, text } of list) {
        const change = parse(name, text);
        if (change) found.push({ change, place: place.name });
        else broken.push({ place: place.name, name, id: RECORD_NAME.exec(name)?.[1] ?? name });
      }
    });
    const readable = new Set(found.map(({ change }) => change.id));
    return {
      changes: newestOf(found).filter(({ state }) => state !== 'ended'),
      unread: faults,
      damaged: broken.filter(({ id }) => !readable.has(id)).map(({ place, name }) => ({ place, name })).sort((a, b) => (a.place + a.name < b.place + b.name ? -1 : 1)),
      found, files, looked: done,
    };
  }

  private async removeFiles(places: ChangePlace[], id: string): Promise<PlaceFault[]> {
    const { faults } = await this.each(places, async (place) => {
      for (const { name } of await place.list()) if (name.startsWith(`${id}.`)) await place.remove(name);
    });
    return faults;
  }

  /** Side by side; what cannot be done in one is no reason to leave another. Only our own mistakes are thrown. */
  private async each<T extends ChangePlace | string>(items: readonly T[], act: (item: T) => Promise<void>): Promise<{ done: T[]; faults: PlaceFault[]; errors: DrydockError[] }> {
    const ends = await Promise.allSettled(items.map(act));
    const done: T[] = [];
    const faults: PlaceFault[] = [];
    const errors: DrydockError[] = [];
    for (const [at, end] of ends.entries()) {
      const item = items[at]!;
      if (end.status === 'fulfilled') done.push(item);
      else if (end.reason instanceof DrydockError) {
        errors.push(end.reason);
        faults.push({ place: typeof item === 'string' ? item : item.name, why: end.reason.message });
      } else throw end.reason;
    }
    return { done, faults, errors };
  }
}

function textOf(change: Change): string {
  return `${JSON.stringify(change)}\n`;
}

function parse(name: string, text: string): Change | null {
  try {
    const change = changeSchema.parse(JSON.parse(text));
    return recordName(change) === name ? change : null;
  } catch {
    return null;
  }
}
