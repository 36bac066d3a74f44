import { withCluster, type ActivityDeps } from './cluster';
import type { PolicyActivities } from './contract';

export function policyActivities(deps: ActivityDeps): PolicyActivities {
  return {
    readPolicy: ({ cluster: name }) =>
      withCluster(deps, name, undefined, ({ config }) =>
        Promise.resolve({ approvers: config.approvers, releaseGate: config.policy.releaseGate, verify: config.policy.verify, prunes: config.keep !== undefined, vault: config.vault, copies: config.copies }),
      ),
  };
}
