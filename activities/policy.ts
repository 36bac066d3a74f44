import { withCluster, type ActivityDeps } from './cluster';
import type { PolicyActivities } from './contract';

export function policyActivities(deps: ActivityDeps): PolicyActivities {
  return {
    readPolicy: ({ cluster: name }) =>
      withCluster(deps, name, undefined, ({ config: { approvers, policy, keep, vault, copies } }) =>
        Promise.resolve({
          approvers, vault, copies,
          releaseGate: policy.releaseGate,
          verify: policy.verify,
          prunes: keep !== undefined,
          putBack: { warnAfter: policy.putBack.warnAfterSeconds, giveUpAfter: policy.putBack.giveUpAfterDays * 24 * 3600 },
        }),
      ),
  };
}
