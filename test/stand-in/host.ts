/** A node of a stand-in cluster: commands run on this machine, in the folders that stand for the node's volumes; its engine is the stand-in's. */
import { PassThrough } from 'node:stream';
import { execOn } from '../../adapters/host/exec';
import type { Host, RemoteProcess } from '../../adapters/host/host';
import { localHost } from '../../adapters/host/local';
import { DrydockError } from '../../domain/errors';
import { IMAGE, type World } from './world';

export function standInHost(world: World, node: string): Host {
  const local = localHost(node);
  const host: Host = {
    name: node,
    exec: (command, options = {}) => execOn(host, command, options),
    spawn: async (command, options) => {
      if (!world.isUp(node)) throw new DrydockError('HostUnreachable', `${node} does not answer`, { remedy: 'switch it on' });
      const said = await answered(world, node, command);
      return said === undefined ? local.spawn(command, options) : says(said);
    },
    close: () => local.close(),
  };
  return host;
}

/** What is no matter of files; undefined for a command that runs as it is. */
async function answered(world: World, node: string, command: string[]): Promise<{ code: number; stdout?: string; stderr?: string } | undefined> {
  const [program = '', ...args] = command;
  if (program === 'hostname') return { code: 0, stdout: node };
  if (program === 'sh' && (args[1] ?? '').includes('/proc/net/tcp')) return { code: 0 };
  if (program === 'df') return { code: 0, stdout: 'Avail\n1000000000000\n' };
  if (program === 'chown') return { code: 0 };
  if (program !== 'docker') return undefined;
  const name = args.at(-1) ?? '';
  switch (args.slice(0, 2).join(' ')) {
    case 'image inspect':
      return { code: 0, stdout: IMAGE };
    case 'volume inspect':
      return world.volumes.has(`${node}/${name}`)
        ? { code: 0, stdout: JSON.stringify({ Name: name, Driver: 'local', Mountpoint: world.mountpoint(`${node}/${name}`), Options: null }) }
        : { code: 1, stderr: `no such volume: ${name}` };
    case 'volume create':
      await world.addVolume(node, name);
      return { code: 0, stdout: name };
    case 'info --format':
      return { code: 0, stdout: '/' };
    default:
      return { code: 1, stderr: `the stand-in has no docker ${args.join(' ')}` };
  }
}

function says({ code, stdout = '', stderr = '' }: { code: number; stdout?: string; stderr?: string }): RemoteProcess {
  const [input, output] = [new PassThrough().resume(), new PassThrough()];
  output.end(stdout);
  return { stdin: input, stdout: output, exit: Promise.resolve({ code, stderr }), kill: async () => undefined };
}
