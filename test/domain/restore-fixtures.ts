/** A backup of three replicas and what a restore of it is decided from. */
import type { DtrProduct, Manifest } from '../../domain/manifest';
import type { Diagnosis, ReplicaState, RestoreDecisions } from '../../domain/plan';
import { decideRestore, type PlanInput } from '../../domain/restore-plan';
import { summaryOf, verdictOf } from '../../domain/diagnosis';

export const IDS = ['000000000001', '000000000002', '000000000003'] as const;
export const NODES = ['node-1', 'node-2', 'node-3'] as const;

const HEX = 'a'.repeat(64);
const TIME = '2026-11-23T02:00:00.000Z';

function artifact(name: string): Manifest['artifacts']['metadata'] {
  return { name, bytes: 1, sha256: HEX, needed: true, plainBytes: 1, plainSha256: HEX, recipients: ['passphrase'] };
}

export function manifest(product: Partial<DtrProduct> = {}): Manifest {
  return {
    format: 1,
    backupId: '20261123T020000Z-1a2b3c',
    cluster: 'prod',
    status: 'complete',
    startedAt: TIME,
    sealedAt: TIME,
    startedBy: 'cron',
    tool: { name: 'drydock', version: '0.1.0' },
    product: {
      kind: 'dtr',
      version: '2.9.4',
      bootstrapperImage: 'mirantis/dtr:2.9.4',
      replica: IDS[0],
      replicas: IDS.map((id, at) => ({ id, node: NODES[at]!, httpPort: 80, httpsPort: 443 })),
      settings: {
        externalUrl: 'https://dtr.example.com', httpProxy: '', httpsProxy: '', noProxy: '', logProtocol: 'internal', logHost: '', logLevel: 'INFO',
        scanningEnabled: false, scanningSyncOnline: true, readOnlyRegistry: false, certificateFingerprint: '',
      },
      crons: [{ action: 'onlinegc', schedule: '0 0 1 * * 6', retries: 0, parameters: {}, deadline: '' }],
      ucp: { url: 'https://ucp', clusterId: 'C', version: '3.2.8' },
      metadata: { root: 'dtr-backup-v2.9.4-online', online: true, tables: {}, documents: 0, dumpStartedAt: TIME, dumpEndedAt: TIME },
      ...product,
    },
    images: { in: 'volume', storage: { kind: 'local' }, volume: { name: `dtr-registry-${IDS[0]}`, driver: 'local', options: {}, owner: { uid: 0, gid: 0 }, mode: '755' }, layouts: ['id'] },
    artifacts: { metadata: artifact('m'), tags: artifact('t'), blobs: artifact('b'), notes: artifact('n'), segments: { name: 's', bytes: 0, sha256: HEX, needed: true } },
    beside: { 'RESTORE.md': { bytes: 0, sha256: HEX }, SHA256SUMS: { bytes: 0, sha256: HEX } },
    counts: { repositories: 0, tags: 0, manifests: 0, blobs: 0, newBlobs: 0, rows: 0, inFlight: 0, segments: 0, gaps: 0, acceptedGaps: 0, warnings: 0 },
    bytes: { images: 0, moved: 0, stored: 0, metadata: 0 },
    gaps: [],
  };
}

/** By default node-1 is there with a sick replica; node-2 and node-3 were rebuilt empty under their names. */
export function states(change: Partial<Record<string, Partial<ReplicaState>>> = {}): ReplicaState[] {
  return IDS.map((id, at) => {
    const here = at === 0;
    return { id, node: NODES[at]!, nodeReachable: true, present: here, running: here, healthy: false, note: 'sick', ...change[NODES[at]!] };
  });
}

export function diagnosis(replicas = states(), lostNodes: string[] = []): Diagnosis {
  return { verdict: verdictOf(replicas), replicas, lostNodes, summary: summaryOf(replicas, lostNodes) };
}

export function input(change: Partial<PlanInput> = {}): PlanInput {
  return {
    cluster: 'prod',
    manifest: manifest(),
    manifestSha256: HEX,
    diagnosis: diagnosis(),
    targets: [],
    members: NODES.map((hostname) => ({ hostname, ready: true })),
    holdings: [{ id: IDS[0], node: NODES[0] }],
    bootstrapperImage: 'mirantis/dtr:2.9.4',
    ucpUrl: 'https://ucp',
    vulnerabilityDatabaseFile: false,
    force: false,
    acceptMissingOwners: false,
    acceptUnsigned: false,
    ...change,
  };
}

export function decisions(): RestoreDecisions {
  return decideRestore(input()).decisions;
}
