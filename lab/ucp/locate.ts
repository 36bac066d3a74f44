/** Finds the engine that holds a thing: by `<node>/<name>`, by id, or by a name that only one node has. */
import type { Engine, Engines } from './engines';
import { HttpError } from './http';

export interface Located {
  engine: Engine;
  /** The reference as the engine knows it. */
  ref: string;
}

export interface ContainerDetails {
  Id: string;
  Name: string;
  Config: { Labels: Record<string, string> | null };
}

export class Locator {
  /** Ids of containers and exec instances that were seen, by node. */
  private readonly seen = new Map<string, string>();

  constructor(private readonly engines: Engines) {}

  remember(id: string, engine: Engine): void {
    if (this.seen.size > 20_000) this.seen.clear();
    this.seen.set(id, engine.name);
  }

  async container(reference: string): Promise<Located> {
    return await this.find('containers', reference, (ref) => `/containers/${ref}/json`, 'container');
  }

  async volume(reference: string): Promise<Located> {
    return await this.find('volumes', reference, (ref) => `/volumes/${ref}`, 'volume');
  }

  async exec(id: string): Promise<Located> {
    return await this.find('exec', id, (ref) => `/exec/${ref}/json`, 'exec instance');
  }

  /** A network of one node, or of the whole Swarm (then the manager answers). */
  async network(reference: string): Promise<Located> {
    const manager = await this.engines.manager();
    const slash = reference.indexOf('/');
    if (slash < 0 && (await this.engines.json(manager, `/networks/${encodeURIComponent(reference)}`)) !== undefined) return { engine: manager, ref: reference };
    return await this.find('networks', reference, (ref) => `/networks/${ref}`, 'network');
  }

  /** All ready engines that have the image. */
  async image(reference: string): Promise<Engine[]> {
    const answers = await this.engines.ask(`/images/${reference}/json`);
    if (answers.length === 0) throw new HttpError(404, `No such image: ${reference}`);
    return answers.map(({ engine }) => engine);
  }

  private async find(kind: string, reference: string, path: (ref: string) => string, what: string): Promise<Located> {
    const slash = reference.indexOf('/');
    if (slash > 0) {
      const node = reference.slice(0, slash);
      return { engine: await this.engines.named(node), ref: reference.slice(slash + 1) };
    }
    const known = this.seen.get(reference);
    if (known !== undefined) return { engine: await this.engines.named(known), ref: reference };
    const found = await this.engines.ask<{ Id?: string }>(path(encodeURIComponent(reference)));
    const [first, second] = found;
    if (first === undefined) throw new HttpError(404, `No such ${what}: ${reference}`);
    if (second !== undefined) throw new HttpError(409, `${what} ${reference} is on several nodes: say <node>/${reference}`);
    if (kind !== 'volumes' && first.answer.Id !== undefined) this.remember(first.answer.Id, first.engine);
    return { engine: first.engine, ref: reference };
  }
}
