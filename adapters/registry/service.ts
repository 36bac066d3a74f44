import type { Service } from '../http/http';

export const REGISTRY: Service = {
  name: 'the registry', unavailable: 'RegistryUnavailable', caSetting: 'dtr.caFile', authRemedy: 'check ucp.username and ucp.password, and that the account may pull this repository',
};
