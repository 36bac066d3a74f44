/** `lab push`: images into the lab's registry, through the load balancer, as its administrator. */
import { count } from '../../domain/count';
import { ADMIN } from '../contract';
import { LabError } from '../hosts/process';
import { pushImages, type PushOptions, type PushReport } from '../push/push';
import { requireUp, type Lab } from './context';

export async function pushToLab(lab: Lab, options: Pick<PushOptions, 'repos' | 'tags' | 'mib' | 'seed' | 'client'>): Promise<PushReport> {
  const { dtr } = await requireUp(lab);
  if (dtr === undefined) throw new LabError('this lab has no registry (--bare)');
  const password = await lab.state.password(ADMIN);
  const caFile = lab.state.file('dtr-ca.pem');
  return await lab.steps.run(`pushing ${options.repos} repositories with ${count(options.tags, 'tag')} each, ${options.mib} MiB`, (log) =>
    pushImages({ ...options, registry: lab.names.addresses.lb, caFile, username: ADMIN, password, log }),
  );
}
