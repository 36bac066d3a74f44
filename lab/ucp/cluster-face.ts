/** What UCP says about itself: version, info and its identity. */
import type { Engines } from './engines';
import type { JsonObject } from './http';

export const UCP_VERSION = '3.2.8';

export class ClusterFace {
  constructor(
    private readonly engines: Engines,
    private readonly instanceId: string,
  ) {}

  async version(prefix: string): Promise<JsonObject> {
    const version = (await this.engines.json<JsonObject>(await this.engines.manager(), `${prefix}/version`)) ?? {};
    return {
      ...version,
      Platform: { Name: 'Universal Control Plane' },
      Version: `ucp/${UCP_VERSION}`,
      Components: [{ Name: 'Universal Control Plane', Version: `ucp/${UCP_VERSION}`, Details: { ApiVersion: version.ApiVersion, Arch: version.Arch, Os: version.Os } }],
    };
  }

  /** The manager's answer with the counts of all nodes; the id is UCP's instance, the Swarm's own stands in `Swarm.Cluster`. */
  async info(): Promise<JsonObject> {
    const [manager, answers, nodes] = await Promise.all([this.engines.manager(), this.engines.ask<Record<string, number>>('/info'), this.engines.all()]);
    const own = answers.find(({ engine }) => engine.name === manager.name)?.answer ?? {};
    const sum = (key: string): number => answers.reduce((total, { answer }) => total + (answer[key] ?? 0), 0);
    const counted = Object.fromEntries(['Containers', 'ContainersRunning', 'ContainersPaused', 'ContainersStopped', 'Images', 'NCPU', 'MemTotal'].map((key) => [key, sum(key)]));
    return {
      ...own,
      ...counted,
      ID: this.instanceId,
      Name: `ucp-controller-${manager.address}-ucp`,
      ServerVersion: `ucp/${UCP_VERSION}`,
      Driver: '',
      SystemStatus: [
        ['Role', 'primary'],
        ['Strategy', 'spread'],
        ['Filters', 'health, port, containerslots, dependency, affinity, constraint'],
        ['Nodes', String(nodes.length)],
        ...nodes.flatMap((node) => [
          [` ${node.name}`, `${node.address}:12376`],
          ['  └ Status', node.ready ? 'Healthy' : 'Unhealthy'],
        ]),
      ],
    };
  }
}
