/** Calls to hosts, engines, registries, UCP, proxies, keys and Temporal. */
import { rows, type OutsideCall } from './rows';

const SSH = 'test/adapters/host-ssh.slow.test.ts';
const HTTP = 'test/adapters/http.test.ts';
const DOCKER = 'test/adapters/docker.test.ts';
const SHELL = 'test/adapters/login-shell.slow.test.ts';
const TEMPORAL = 'test/client/temporal-faults.slow.test.ts';
const ENGINE = 'test/adapters/ucp-engine.test.ts';
const ALONE = 'test/client/command-alone.slow.test.ts';

export const SERVICES: OutsideCall[] = [
  ...rows(['adapters/host/ssh-connect.ts', 'adapters/host/ssh-socket.ts', 'adapters/host/ssh-thread.ts', 'adapters/host/ssh-link.ts'], [
    ['SSH: connection', 'absent', 'nobody listens', 'HostUnreachable', [SSH, 'says that the host cannot be reached when nobody listens']],
    ['SSH: connection', 'slow', 'the host takes the connection and never answers', 'the signal ends it; other hosts are not held up', [SSH, 'gives up a host that never answers when the signal fires']],
    ['SSH: connection', 'cut', 'lost while a command writes', 'an error and no clean end of its output', [SSH, 'shows an error and not a clean end on standard output when the connection is lost']],
    ['SSH: host key', 'lies', 'another key than known_hosts has', 'HostKeyMismatch with the fingerprint', [SSH, 'refuses a host that shows another key']],
    ['SSH: login', 'refused', 'the key is not the user\'s', 'AuthRejected', [SSH, 'says that the login is refused when the key is not the user\'s']],
    ['SSH: private key', 'refused', 'locked by a passphrase that is missing or wrong', 'InvalidInput, naming the setting', [SSH, 'opens a key that has a passphrase, and says which passphrase is missing or wrong']],
    ['SSH: command', 'absent', 'not installed', 'told from one that failed', [SSH, 'tells a command that is not installed from one that failed']],
    ['SSH: command', 'slow', 'nothing moves', 'Stalled, and the command is ended', [SSH, 'fails with Stalled when nothing moves for the given time']],
    ['SSH: command', 'lies', 'more output than can be', 'refused, and the command is ended', [SSH, 'refuses more output than the caller allows']],
    ['sudo', 'refused', 'wrong password', 'AuthRejected', [SSH, 'says that the password is wrong']],
    ['sudo', 'absent', 'no password is configured, and it wants one', 'a sentence that names the setting', [SSH, 'says that a password is needed when none is configured']],
    ['sudo', 'lies', 'does not ask for the password', 'the command is not fed with it', [SSH, 'does not feed the password to the command when sudo does not ask for it']],
  ]),
  ...rows(['adapters/host/ssh-host-key.ts', 'adapters/host/ssh-offer.ts'], [
    ['SSH: host key', 'refused', 'the server signs with SHA-1 only', 'named as that, whether the key is known or not', [SSH, 'are named when they sign their host key with SHA-1 only, whether the key is known or not']],
    ['SSH: host key', 'absent', 'known_hosts has the plain name only', 'taken as ssh takes it; another key is not', [SSH, 'are taken by the plain name in known_hosts, as ssh takes them; another key than that is not known']],
    ['SSH: connection', 'refused', 'no cipher or key exchange in common', 'named with what the server offers', [SSH, 'are named with what they offer when there is no cipher or key exchange in common']],
    ['SSH: login', 'slow', 'takes longer than usual', 'waited for as long as loginTimeout says, then named', [SSH, 'may let a login wait as long as the configuration says, and are named when it takes longer']],
  ]),
  ...rows(['adapters/host/ssh-start.ts', 'adapters/host/marks.ts'], [
    ['login shell', 'lies', 'prints before a command', 'none of it is taken for the command\'s own', [SHELL, 'prints before a command: none of it is taken for the command\'s own']],
    ['login shell', 'lies', 'prints behind a command, and ends with its own code', 'neither counts', [SHELL, 'prints behind a command, and ends with a code of its own: neither counts']],
    ['login shell', 'lies', 'prints without end', 'refused; nothing is kept of it', [SHELL, 'prints without end: refused, and nothing is kept of it']],
    ['login shell', 'absent', 'ends before the command, or is none', 'named with what it printed', [SHELL, 'ends before the command, or is none: named with what it printed']],
    ['login shell', 'slow', 'waits for input', 'named within its limit', [SHELL, 'replaces itself by another shell that waits for input: named within the limit, as what it is']],
    ['sudo', 'lies', 'its lecture, and what PAM says', 'not taken for output', [SHELL, 'does not hear the lecture of sudo, nor what PAM says when sudo opens and closes']],
  ]),
  ...rows(['adapters/host/local.ts'], [
    ['this machine: command', 'absent', 'not installed', 'NotFound', ['test/adapters/host-local.test.ts', 'fails as over SSH for an unexpected exit code and for a command that is not there']],
    ['this machine: command', 'cut', 'killed', 'an error and no clean end of its output', ['test/adapters/host-local.test.ts', 'shows an error and not a clean end on standard output when the command is killed']],
  ]),
  ...rows(['adapters/http/http.ts', 'adapters/http/tls.ts'], [
    ['HTTPS: any call', 'absent', 'nobody listens', 'the service is unavailable, worth another try', [HTTP, 'does not follow a call that nobody answers for longer than it is told']],
    ['HTTPS: any call', 'slow', 'no answer', 'given up after its time', [HTTP, 'does not follow a call that nobody answers for longer than it is told']],
    ['HTTPS: any call', 'cut', 'the answer breaks off', 'the service is unavailable', [HTTP, 'fails when an answer breaks off, and when it is not JSON']],
    ['HTTPS: any call', 'lies', 'a log-in page instead of JSON', 'unavailable, naming login pages and proxies', [HTTP, 'fails when an answer breaks off, and when it is not JSON']],
    ['HTTPS: any call', 'refused', 'each status', 'the kind of error that it means, with the server\'s words', [HTTP, 'turns each status into the kind of error that it means']],
    ['TLS', 'lies', 'another name, expired, another authority', 'TlsRejected, naming the setting for the CA file', [HTTP, 'refuses a certificate for another name and one that is expired']],
    ['TLS', 'absent', 'plain HTTP on the port', 'TlsRejected', [HTTP, 'says so when the port speaks plain HTTP']],
    ['CA file', 'absent', 'not there, or without a certificate', 'InvalidInput with its path', [HTTP, 'names a CA file that is missing or holds no certificate']],
  ]),
  ...rows(['adapters/http/proxy.ts'], [
    ['proxy: login', 'lies', '% # / @ in the password', 'taken as it stands where it is no escape', [HTTP, 'takes the password ${written} of HTTPS_PROXY for ${meant}']],
    ['proxy: address', 'absent', 'HTTPS_PROXY names no HTTP proxy (SOCKS, no port, nothing)', 'InvalidInput naming HTTPS_PROXY, without its password', [HTTP, 'says that HTTPS_PROXY is no address of a proxy']],
    ['proxy: CONNECT', 'refused', '407 and others', 'AuthRejected, or unavailable, without its password', [HTTP, 'says that the proxy refuses, without its password']],
    ['proxy: CONNECT', 'slow', 'a byte now and then', 'given up after the time for any connection', [HTTP, 'waits no longer than for any connection for a proxy']],
    ['proxy: TLS to it', 'lies', 'a certificate of another authority', 'unavailable, with the reason', [HTTP, 'goes through a proxy that speaks TLS']],
  ]),
  ...rows(['adapters/docker/transport.ts', 'adapters/docker/dockerode.ts', 'adapters/docker/attach.ts', 'adapters/docker/run.ts'], [
    ['Docker: any call', 'absent', 'nobody listens', 'EngineUnavailable', [DOCKER, 'says that the engine cannot be reached when nobody listens']],
    ['Docker: any call', 'refused', 'the client certificate is not accepted', 'AuthRejected, or that it hung up', [DOCKER, 'says that the client certificate is not accepted']],
    ['Docker: any call', 'lies', 'a certificate of another authority', 'not talked to', [DOCKER, 'does not talk to an engine whose certificate another authority signed']],
    ['Docker: attach', 'cut', 'in the middle of the output', 'an error and no clean end', [DOCKER, 'fails, and shows no clean end of the output, when the connection is cut in the middle']],
    ['Docker: attach', 'slow', 'the container is silent', 'Stalled, and the container is killed', [DOCKER, 'fails with Stalled when the container is silent for too long']],
    ['Docker: image', 'absent', 'not on the node', 'NotFound', [DOCKER, 'says which image is missing']],
    ['Docker: exec', 'slow', 'the engine prepares a command and never starts it', 'EngineUnavailable after its time', ['test/adapters/hijack.test.ts', 'is given up after a while, with an error that may be tried again']],
    ['Docker: backup command', 'cut', 'the last bytes did not come although it ended well', 'run again; nothing is stored', ['test/activities/metadata-cut.test.ts', 'bytes did not come although the command ended well']],
  ]),
  ...rows(['adapters/registry/client.ts', 'adapters/registry/auth.ts'], [
    ['registry: blob', 'cut', 'breaks off on the way', 'RegistryUnavailable, not damaged', ['test/adapters/registry.test.ts', 'fails as unavailable, not as damaged, when a blob breaks off on the way']],
    ['registry: blob, manifest', 'lies', 'other bytes than its digest says', 'refused', ['test/adapters/registry.test.ts', 'refuses a blob and a manifest that are damaged on disk']],
    ['registry: redirect', 'lies', 'to another host', 'followed without the login', ['test/adapters/registry.test.ts', 'does not send the login to another host that a blob is redirected to']],
  ]),
  ...rows(['adapters/dtr/client.ts', 'adapters/dtr/upload.ts', 'adapters/dtr/replica-ping.ts'], [
    ['DTR: API', 'lies', 'names the same page again', 'not followed in a circle', ['test/adapters/dtr.test.ts', 'does not turn in a circle when a server names the same page again']],
    ['DTR: API', 'lies', 'something else answers', 'RegistryUnavailable, naming dtr.url', ['test/adapters/dtr.test.ts', 'says so when something else than DTR answers']],
    ['DTR: health', 'absent', 'the server is down', 'not healthy, with the reason; nothing is thrown', ['test/adapters/dtr.test.ts', 'says whether it is healthy, and why not']],
  ]),
  ...rows(['adapters/ucp/client.ts', 'adapters/ucp/bundle.ts'], [
    ['UCP: session', 'cut', 'ended meanwhile', 'logs in again', ['test/adapters/ucp.test.ts', 'logs in again when the session has ended meanwhile']],
    ['UCP: address', 'absent', 'one of several does not answer', 'the next one', ['test/e2e/adapters-ucp.test.ts', 'goes to the next address when one does not answer']],
    ['UCP: bundle', 'lies', 'names that lead elsewhere, no zip, a file missing', 'refused', ['test/adapters/ucp.test.ts', 'are refused when a name would leave the folder']],
    ['UCP: kept bundle', 'lies', 'torn, or about to end', 'fetched anew', ['test/adapters/ucp.test.ts', 'are fetched anew when the kept one is about to end or is torn']],
    ['UCP: kept bundle', 'refused', 'UCP does not know its key any more', 'fetched once more, and said', [ENGINE, 'takes a new bundle in place of a kept one whose key UCP does not know any more']],
    ['UCP: configured bundle', 'refused', 'UCP does not take it', 'named; none is fetched in its place', [ENGINE, 'names the configured bundle that UCP refuses, and fetches none in its place']],
    ['UCP: engine', 'absent', 'the manager that the bundle names is gone', 'the next manager of ucp.urls', [ENGINE, 'is reached at another manager of ucp.urls when the one that the bundle names is gone']],
    ['UCP: engine', 'slow', 'a manager is silent', 'not waited for', [ENGINE, 'does not wait for one that is silent, and takes its late answer back']],
  ]),
  ...rows(['adapters/secrets/secrets.ts'], [
    ['secret file or variable', 'absent', 'not there, or empty', 'InvalidInput with the reference, never the content', ['test/vault/s3-faults.slow.test.ts', 'says which keys are wrong, and what to do about it']],
  ]),
  ...rows(['adapters/openpgp/key-file.ts'], [
    ['key file', 'lies', 'missing, or something else inside', 'refused by its name', ['test/openpgp/messages.test.ts', 'are refused when the file is missing or holds something else']],
  ]),
  ...rows(['adapters/stream/spool.ts'], [
    ['spool file', 'refused', 'none can be made', 'the sender is held back; nothing is lost', ['test/adapters/spool.test.ts', 'holds its writer back, and loses nothing, where it can make no file']],
  ]),
  ...rows(['adapters/extract/target.ts'], [
    ['folder to extract into', 'refused', 'it exists already', 'a sentence; nothing is written', ['test/extract/extract.slow.test.ts', 'refuses a directory that exists, an unknown repository and a wrong vault']],
  ]),
  ...rows(['adapters/vault/content-cache.ts'], [
    ['copies of indexes under stateDir', 'lies', 'spoilt', 'thrown away; the vault is read', ['test/vault/content-cache.test.ts', 'are believed only with the digest that is asked for; a spoilt one is thrown away']],
    ['copies of indexes under stateDir', 'refused', 'the folder cannot be written', 'none are kept', ['test/vault/content-cache.test.ts', 'are written by several at once without harm, and a folder that cannot be written is none']],
  ]),
  ...rows(['adapters/temporal/knock.ts'], [
    ['Temporal: connection', 'refused', 'TLS, certificate, name, key or namespace is not right', 'each named by the command, with its way out', [TEMPORAL, 'is named by the command, each cause with its way out']],
    ['Temporal: connection', 'lies', 'something else than Temporal answers', 'named by the worker, once in its log where waiting may help', [TEMPORAL, 'is named by the worker: once in its log where waiting may help, else at its end']],
  ]),
  ...rows([], [
    ['Temporal: run', 'lies', 'its workflow code was changed', 'said wherever it is looked at, with the server\'s words', ['test/client/stuck.slow.test.ts', 'is named by approve, show, status and watch, with the server\'s words and the way out']],
    ['Temporal: server', 'absent', 'nobody listens', 'where it was looked for, and how to start one', [ALONE, 'says where it looked for Temporal and how to start one']],
    ['Temporal: worker', 'absent', 'none listens', 'said, and waited for', [ALONE, 'says so when no worker listens, and goes on waiting']],
    ['Temporal: worker', 'cut', 'killed in any step', 'the next one goes on', ['test/workflows/worker-killed.slow.test.ts', 'is replaced by the next one, whichever step it died in']],
    ['temporal program', 'absent', 'not installed', 'how to get it', ['test/client/up.slow.test.ts', 'says how to get the temporal program when it is not there']],
    ['gpg, tar, sha256sum, docker by hand', 'absent', 'a host without Node and without Drydock', 'RESTORE.md restores with them alone', ['test/e2e/without-us.test.ts', 'restores a backup of one segment, which is signed']],
  ]),
];
