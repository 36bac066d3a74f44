import assert from 'node:assert/strict';
import { canonicalJson, type RestorePlan } from '../../domain/plan';
import { decideRestore, planMarkdown, type PlanInput } from '../../domain/restore-plan';
import { diagnosis, IDS, input, manifest, NODES, states } from './restore-fixtures';

function refusals(change: Partial<PlanInput>): string[] {
  return decideRestore(input(change)).findings.map(({ what, remedy }) => `${what} | ${remedy}`);
}

const HEALTHY = Object.fromEntries(NODES.map((node) => [node, { healthy: true, present: true, running: true }]));

describe('the plan of a restore', () => {
  it('puts the replica whose database was read first and joins the others in the order of the backup', () => {
    const { decisions, findings } = decideRestore(input({ manifest: manifest({ replica: IDS[1] }) }));
    assert.deepEqual(findings, []);
    assert.equal(decisions.first.id, IDS[1]);
    assert.deepEqual(decisions.joins.map(({ id }) => id), [IDS[0], IDS[2]]);
  });

  it('destroys what lies on nodes that can be reached and stops only what runs there', () => {
    const { decisions } = decideRestore(input({
      diagnosis: diagnosis(states({ 'node-2': { present: true, running: false } })),
      holdings: [{ id: IDS[1], node: 'node-2' }, { id: IDS[0], node: 'node-1' }, { id: IDS[0], node: 'node-1' }],
    }));
    assert.deepEqual(decisions.destroys, [{ id: IDS[0], node: 'node-1' }, { id: IDS[1], node: 'node-2' }]);
    assert.deepEqual(decisions.stops, [{ id: IDS[0], node: 'node-1' }]);
  });

  it('refuses a healthy cluster and a lost minority, unless forced, and says how to join instead', () => {
    assert.match(refusals({ diagnosis: diagnosis(states(HEALTHY)) })[0]!, /all replicas are healthy/);
    const minority = diagnosis(states({ ...HEALTHY, 'node-3': {} }));
    assert.match(refusals({ diagnosis: minority })[0]!, /only a minority .* use the bootstrapper.s "remove --replica-ids 000000000003" and then "join"/);
    const forced = decideRestore(input({ diagnosis: minority, force: true }));
    assert.deepEqual(forced.findings, []);
    assert.match(forced.warnings[0]!, /forced although the cluster works/);
  });

  it('refuses to begin while a lost host is a manager, since Docker removes none before it is demoted', () => {
    const member = (hostname: string, ready: boolean, manager = true) => ({ hostname, ready, manager });
    const targets = [{ replicaId: IDS[1], node: 'node-4' }];
    const found = refusals({ members: [member('node-1', true), member('node-2', false), member('node-3', true), member('node-4', true, false)], targets });
    assert.deepEqual(found, ['node-2 is a manager of the Swarm and lost, and Docker removes none that was not demoted | run docker node demote node-2 on a manager that is left, then start the restore again (or bring it back)']);
    const majority = refusals({ members: [member('node-1', true), member('node-2', false), member('node-3', true, false), member('node-4', true, false)], targets });
    assert.match(majority[0]!, /the Swarm has lost the majority of its managers: run docker swarm init --force-new-cluster on one that is left, then start the restore again \(or bring it back\)$/, 'behind that Docker takes no demotion');
    assert.deepEqual(refusals({ members: [member('node-1', true), member('node-2', false, false), member('node-3', true), member('node-4', true)], targets }), []);
    assert.deepEqual(refusals({ members: [member('node-1', true), member('node-2', true), member('node-3', true), member('node-9', false)] }), [], 'a manager without a replica is not ours');
  });

  it('names a lost manager by its id where a rebuilt host has the same name, since Docker takes no name that two members have', () => {
    const members = [{ id: 'old2', hostname: 'node-2', ready: false, manager: true }, { id: 'new2', hostname: 'node-2', ready: true, manager: false }, { id: 'old3', hostname: 'node-3', ready: false, manager: true },
      { id: 'one', hostname: 'node-1', ready: true, manager: true }, { id: 'four', hostname: 'node-4', ready: true, manager: true }, { id: 'five', hostname: 'ucp', ready: true, manager: true }];
    const found = refusals({ members, targets: [{ replicaId: IDS[2], node: 'node-4' }] });
    assert.deepEqual(found, ['node-3, the old node-2 are managers of the Swarm and lost, and Docker removes none that was not demoted | run docker node demote node-3 old2 on a manager that is left, then start the restore again (or bring them back)']);
    const alone = refusals({ members: members.filter(({ hostname }) => hostname !== 'node-3'), targets: [{ replicaId: IDS[2], node: 'node-4' }] });
    assert.match(alone[0]!, /^the old node-2 is a manager .* run docker node demote old2 on a manager that is left, then start the restore again$/, 'a host that was replaced is not to be brought back');
  });

  it('refuses a lost node without a replacement, by name', () => {
    const members = [{ hostname: 'node-1', ready: true }, { hostname: 'node-2', ready: false }];
    const found = refusals({ members });
    assert.equal(found.length, 2);
    assert.match(found[0]!, /the node node-2 of replica 000000000002 is lost \(it does not answer\) and has no replacement \| .*targets/);
    assert.match(found[1]!, /node-3 of replica 000000000003 is lost \(it is not in the Swarm\)/);
  });

  it('puts a replica on its target, keeps its id and ports, and fences the lost node', () => {
    const members = [...NODES.map((hostname) => ({ hostname, ready: hostname !== 'node-2' })), { hostname: 'node-9', ready: true }];
    const { decisions, findings } = decideRestore(input({ members, targets: [{ replicaId: IDS[1], node: 'node-9', host: '10.0.0.9' }] }));
    assert.deepEqual(findings, []);
    assert.deepEqual(decisions.joins[0], { id: IDS[1], node: 'node-9', httpPort: 80, httpsPort: 443 });
    assert.deepEqual(decisions.fences, ['node-2']);
    assert.deepEqual(decisions.targets, [{ replicaId: IDS[1], node: 'node-9', host: '10.0.0.9' }]);
  });

  it('takes a host that was rebuilt under its name for there, and fences only its old membership', () => {
    const { decisions, findings } = decideRestore(input({ members: [...NODES.map((hostname) => ({ hostname, ready: true })), { hostname: 'node-3', ready: false }] }));
    assert.deepEqual(findings, []);
    assert.deepEqual(decisions.fences, ['node-3']);
  });

  it('does not fence a node that never held a replica', () => {
    const members = [...NODES.map((hostname) => ({ hostname, ready: true })), { hostname: 'build-7', ready: false }];
    assert.deepEqual(decideRestore(input({ members })).decisions.fences, []);
  });

  it('refuses targets for unknown replicas, two targets for one, two replicas on one node, and a target that is not there', () => {
    const found = refusals({
      targets: [{ replicaId: 'ffffffffffff', node: 'node-1' }, { replicaId: IDS[1], node: 'node-1' }, { replicaId: IDS[1], node: 'node-1' }, { replicaId: IDS[2], node: 'node-8' }],
    });
    assert.match(found.join('\n'), /replica ffffffffffff \(for node-1\), which is not in the backup/);
    assert.match(found.join('\n'), /000000000002 more than once/);
    assert.match(found.join('\n'), /000000000001 and 000000000002 would both stand on node-1/);
    assert.match(found.join('\n'), /the node node-8, target for replica 000000000003, is not in the Swarm/);
  });

  it('updates the vulnerability database from a file where one is configured, else online, else warns', () => {
    const scanning = (scanningSyncOnline: boolean, vulnerabilityDatabaseFile: boolean) =>
      decideRestore(input({ manifest: manifest({ settings: { ...manifest().product.settings, scanningEnabled: true, scanningSyncOnline } }), vulnerabilityDatabaseFile }));
    assert.equal(scanning(true, false).decisions.scanning, 'online');
    assert.equal(scanning(true, true).decisions.scanning, 'file');
    const none = scanning(false, false);
    assert.equal(none.decisions.scanning, 'off');
    assert.match(none.warnings[0]!, /load the vulnerability database by hand/);
  });

  it('warns of an incomplete backup, of replicas that the backup does not know, and of images kept elsewhere', () => {
    const incomplete = { ...manifest(), images: { in: 'elsewhere' as const, keptBy: 'the storage team' }, status: 'incomplete' as const };
    const { warnings, decisions } = decideRestore(input({ manifest: incomplete, holdings: [{ id: 'eeeeeeeeeeee', node: 'node-1' }] }));
    assert.match(warnings.join('\n'), /the backup is incomplete/);
    assert.match(warnings.join('\n'), /eeeeeeeeeeee on node-1/);
    assert.match(warnings.join('\n'), /images are not in this backup: the storage team/);
    assert.equal(decisions.volume, null);
  });

  it('comes to the same decisions from the same input in another order', () => {
    const one = decideRestore(input({ holdings: [{ id: IDS[0], node: 'node-1' }, { id: IDS[1], node: 'node-2' }] })).decisions;
    const other = decideRestore(input({ holdings: [{ id: IDS[1], node: 'node-2' }, { id: IDS[0], node: 'node-1' }], members: [...input().members].reverse() })).decisions;
    assert.equal(canonicalJson(one), canonicalJson(other));
  });

  describe('in markdown', () => {
    function plan(change: Partial<RestorePlan> = {}): RestorePlan {
      const { decisions } = decideRestore(input({ members: [...input().members, { hostname: 'node-3', ready: false }] }));
      return {
        decisions, digest: 'd'.repeat(64), estimates: { bytesToMove: 3 * 2 ** 20, bytesKept: 0, blobs: 4, tags: 13, repositories: 4 },
        proof: ['It opens.'], warnings: [], diagnosis: diagnosis(), sealedAt: '2026-11-23T02:00:00.000Z', ...change,
      };
    }

    it('says what is there, what is destroyed, what replaces it, the storage flag, what moves and what was proven', () => {
      const text = planMarkdown(plan());
      for (const part of ['0 of 3 replicas', 'containers and volumes of `000000000001` on **node-1**', '--dtr-use-default-storage', 'DTR **2.9.4**', '13 tags of 4 repositories; 3.0 MiB to move', 'It opens.', 'the old **node-3**: its entry in the Swarm is down']) {
        assert.ok(text.includes(part), `${part} is missing in:\n${text}`);
      }
    });

    it('stays below 8 KB whatever the warnings, and says that it was shortened', () => {
      const text = planMarkdown(plan({ warnings: Array.from({ length: 12 }, () => 'ä'.repeat(2000)) }));
      assert.ok(Buffer.byteLength(text) < 8192, `${Buffer.byteLength(text)} bytes`);
      assert.match(text, /\(shortened\)$/);
    });
  });
});
