/** Names in the configuration that must stand for something else in it. */
import type { Config } from '../domain/config';
import type { Mistake } from '../domain/mistakes';
import { nearest } from '../domain/nearest';

export function danglingReferences(config: Config): Mistake[] {
  const mistakes: Mistake[] = [];
  const report = (path: string[], problem: string): void => {
    mistakes.push({ path, field: path.join('.'), problem });
  };
  for (const [name, cluster] of Object.entries(config.clusters)) {
    if (!Object.hasOwn(config.vaults, cluster.vault)) {
      report(['clusters', name, 'vault'], `there is no vault "${cluster.vault}"${choices(cluster.vault, Object.keys(config.vaults))}`);
    }
    for (const [at, copy] of cluster.copies.entries()) {
      const path = ['clusters', name, 'copies', String(at)];
      if (!Object.hasOwn(config.vaults, copy)) report(path, `there is no vault "${copy}"${choices(copy, Object.keys(config.vaults))}`);
      else if (copy === cluster.vault) report(path, `"${copy}" is the vault of this cluster itself, expected another one`);
      else if (cluster.copies.indexOf(copy) !== at) report(path, `"${copy}" is named twice`);
    }
    for (const [hostName, host] of Object.entries(cluster.hosts)) {
      const path = ['clusters', name, 'hosts', hostName, 'jump'];
      if (host.jump === undefined) continue;
      if (!Object.hasOwn(cluster.hosts, host.jump)) {
        report(path, `there is no host "${host.jump}"${choices(host.jump, Object.keys(cluster.hosts))}`);
      } else if (jumpsInCircle(cluster.hosts, hostName)) {
        report(path, 'the jump hosts lead back to this host');
      }
    }
  }
  return mistakes;
}

function choices(name: string, known: string[]): string {
  const guess = nearest(name, known);
  if (guess !== undefined) return `, did you mean "${guess}"?`;
  return known.length > 0 ? `, expected one of ${known.join(', ')}` : '';
}

function jumpsInCircle(hosts: Record<string, { jump?: string }>, start: string): boolean {
  const seen = new Set<string>();
  for (let name: string | undefined = start; name !== undefined; name = hosts[name]?.jump) {
    if (seen.has(name)) return true;
    seen.add(name);
  }
  return false;
}
