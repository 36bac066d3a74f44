/** Calls to where backups are kept: directories, SFTP servers, buckets. */
import { rows, type OutsideCall } from './rows';

const DIRECTORY = 'test/vault/directory-faults.test.ts';
const SFTP = 'test/vault/sftp-servers.test.ts';
const OPENSSH = 'test/vault/sftp.slow.test.ts';
const S3 = 'test/vault/s3-servers.slow.test.ts';
const S3_FAULTS = 'test/vault/s3-faults.slow.test.ts';
const LOCK = 'test/vault/s3-lock.slow.test.ts';
const PLACES = 'test/vault/conformance.ts';

const directory: OutsideCall[] = rows(['adapters/vault/directory-files.ts', 'adapters/vault/directory.ts'], [
  ['directory: fsync of a folder', 'absent', 'EINVAL, ENOTSUP, ENOSYS, EBADF, EISDIR (CIFS, FUSE)', 'passed over: such file systems write entries through', [DIRECTORY, 'that cannot sync a directory ($']],
  ['directory: open of a folder to sync it', 'refused', 'EACCES: it may be written, not read', 'passed over', [DIRECTORY, 'that lets no directory be opened, though files may be made in it']],
  ['directory: fsync of a folder', 'refused', 'EIO, after the name was given', 'the name is taken back, VaultUnavailable; the next try does not meet its own file', [DIRECTORY, 'whose disk breaks when the directory is synced']],
  ['directory: fsync and close of a file', 'refused', 'EIO, ENOSPC, EDQUOT come only then (NFS)', 'VaultUnavailable or NoSpace; nothing gets the name', [DIRECTORY, 'that says only when a file is synced or closed that it is not on the disk']],
  ['directory: fsync of a file', 'absent', 'ENOSYS, EINVAL, ENOTSUP', 'Refused: "cannot put a file safely on its disk (fsync)", at the check', [DIRECTORY, 'that cannot sync files at all is refused']],
  ['directory: link', 'lies', 'EEXIST to a retransmission of its own (NFS)', 'inode and number of names are compared on files opened anew: its own', [DIRECTORY, 'whose server was asked twice for a link']],
  ['directory: inode numbers', 'lies', 'made up, the same for two files', 'not believed without a second name: Conflict', [DIRECTORY, 'that makes inode numbers up is not believed']],
  ['directory: link', 'absent', 'EPERM, ENOTSUP, ENOSYS, EXDEV (CIFS, exFAT, s3fs)', 'each name is claimed with O_EXCL, then renamed; the description says so', [DIRECTORY, 'without hard links (${code}) is written to by claims, and says so']],
  ['directory: link, real', 'absent', 'sshfs mounted without hard links', 'the same; one of several writers wins', ['test/vault/directory-mount.slow.test.ts', 'lets exactly one of several racing writers create a name, whole']],
  ['directory: link and rename', 'refused', 'EXDEV for both: two file systems or quota projects', 'Refused: "another file system, or in another quota project"', [DIRECTORY, 'and with another file system below']],
  ['directory: rename', 'lies', 'ENOENT to a retransmission of its own', 'who holds the claim knows that the file under the name is its own', [DIRECTORY, 'without hard links whose server was asked twice to rename']],
  ['directory: link', 'lies', 'writes over what is there', 'Refused by the check: "writes over a name that exists"', [DIRECTORY, 'that writes over names is found out by the check']],
  ['directory: mkdir, unlink, rmdir', 'lies', 'EEXIST or ENOENT to a retransmission of its own', 'success', [DIRECTORY, 'whose server was asked twice to make a folder']],
  ['directory: mkdir', 'cut', 'a prune takes the empty folder away before the file has its name', 'the folder is made again', [DIRECTORY, 'whose folder is taken away by a prune']],
  ['directory: mkdir of the vault', 'refused', 'EROFS or EACCES above, but the vault is there', 'looked at first: goes on', [DIRECTORY, 'whose directory above may not be written']],
  ['directory: any call', 'refused', 'EROFS, EACCES, ENAMETOOLONG, EILSEQ, EMFILE, EBUSY', 'a sentence and a remedy for each', [DIRECTORY, 'that answers ${code} says what that means']],
  ['directory: any call', 'cut', 'ESTALE, ENOTCONN, EHOSTDOWN, EIO, EKEYEXPIRED: the server or program behind the mount', 'VaultUnavailable, with what is gone', [DIRECTORY, 'that answers ${code} says what that means']],
  ['directory: any call', 'slow', 'hangs (hard NFS mount, dead FUSE program)', 'Stalled after 2 min, after 15 min for a sync', [DIRECTORY, 'that does not answer is not waited for without end']],
  ['directory: write', 'refused', 'ENOSPC, EDQUOT', 'NoSpace with bytes written and free; older backups stay whole', ['test/vault/full-disk.slow.test.ts', 'nothing is sealed, the older backup is whole']],
  ['directory: write', 'refused', 'no inodes are left', 'NoSpace: "no room for one more file (inodes)"', [DIRECTORY, 'that has room, but none for one more file']],
  ['directory: write', 'refused', 'EFBIG: FAT takes 4 GiB, or ulimit -f', 'NoSpace, with bytes written; remedy policy.segmentBytes', [DIRECTORY, 'that takes files up to 4 GiB only']],
  ['directory: write', 'lies', 'takes 0 bytes and gives no error', 'VaultUnavailable instead of a loop', [DIRECTORY, 'that takes no bytes and gives no error']],
  ['directory: statfs', 'absent', 'ENOSYS', 'free space is not known', [DIRECTORY, 'that knows nothing of its size is not taken for full']],
  ['directory: statfs', 'lies', 'nought of everything (FUSE)', 'not known, rather than full', [DIRECTORY, 'that knows nothing of its size is not taken for full']],
  ['directory: readdir', 'cut', 'an entry without type goes while it is looked at', 'read again, never taken for the end of the folder', [DIRECTORY, 'whose listing is broken by a file that goes meanwhile']],
  ['directory: readdir', 'lies', 'names an entry twice', 'shown once', [DIRECTORY, 'that names an entry twice shows it once']],
  ['directory: lstat', 'refused', 'EIO', 'VaultUnavailable; not taken for gone', ['test/vault/directory.test.ts', 'is not listed in part while its disk fails']],
  ['directory: clock', 'lies', 'a mount has the time of its server', 'asked by a probe; nothing is removed by the clock of the worker', [PLACES, 'tells its own time, whatever the clock of the worker says']],
  ['directory: the mount', 'absent', 'not mounted: an empty folder in its place', 'Refused before anything is written', ['test/vault/known-vaults.test.ts', 'refuses an empty mountpoint, a folder that is gone']],
]);

const reading: OutsideCall[] = [
  ...rows(['adapters/vault/opening-thread.ts'], [['directory: read in a thread', 'slow', 'hangs in the middle of a segment', 'Stalled, and a cancel is heard', ['test/vault/opening.test.ts', 'hears of a cancel, and of a stall, while the thread hangs in a read']]]),
  ...rows(['adapters/vault/known-vaults.ts'], [['stateDir: memory of vaults', 'lies', 'damaged', 'does not pass for none', ['test/vault/known-vaults.test.ts', 'does not pass for no memory when it is damaged']]]),
];

const sftp: OutsideCall[] = rows(['adapters/vault/sftp.ts', 'adapters/vault/sftp-connection.ts', 'adapters/vault/sftp-upload.ts', 'adapters/vault/sftp-commit.ts', 'adapters/vault/sftp-transfer.ts'], [
  ['SFTP: hardlink, fsync, statvfs', 'absent', 'no extension at all, and a rename that writes over names (other makes)', 'claims with O_EXCL; free space not known', [SFTP, 'without any extension (hard links, fsync, free space)']],
  ['SFTP: an extension', 'absent', 'never sent, since the server does not know it', 'not counted as waiting: the connection is not given up for silence', [SFTP, 'that does not know a request is not waited for']],
  ['SFTP: hardlink', 'refused', 'switched off in sshd', 'claims: one of 20 writers wins', [OPENSSH, 'lets exactly one of 20 racing writers create a name all the same']],
  ['SFTP: limits', 'absent', 'before OpenSSH 8.5', 'smaller requests; memory is not given back too early', [OPENSSH, 'is done with the memory of a write when it calls back']],
  ['SFTP: open, write, rename, mkdir', 'refused', 'permission denied, failure, unsupported', 'NotPermitted, NoSpace with what came, or the server\'s own words', [SFTP, 'that refuses ${request} with ${status} says so']],
  ['SFTP: write', 'refused', 'full disk', 'NoSpace with bytes written and free', [PLACES, 'on a full disk fails saying how far it came']],
  ['SFTP: write', 'refused', 'quota: "failure", although there is room', 'NoSpace: "a quota, most likely"', [PLACES, 'over its quota fails saying so']],
  ['SFTP: connection', 'cut', 'while a file is written', 'VaultUnavailable; nothing of it shows; the next call connects anew', [OPENSSH, 'loses no more than the running call when its connection is cut']],
  ['SFTP: any request', 'slow', 'no answer', 'the connection is given up (after 2 min), who waits hears it, the next call opens another', [SFTP, 'that goes silent keeps nobody for ever']],
  ['SFTP: times of files', 'lies', 'it sends none', 'Refused by the check; nothing is taken for old', [SFTP, 'that does not say when files were written is refused']],
  ['SFTP: sizes and kinds of files', 'lies', 'it sends none', 'Refused by the check', [SFTP, 'that does not say what is a file, or how large it is']],
  ['SFTP: host key and login', 'refused', 'another key; login not accepted', 'HostKeyMismatch, AuthRejected', [OPENSSH, 'is refused when its host key is not the known one']],
  ['SFTP: server', 'absent', 'nobody listens', 'VaultUnavailable', [OPENSSH, 'that does not answer is unavailable']],
  ['SFTP: folder', 'absent', 'the folder above the vault does not exist', 'NotFound; nothing is made above', [OPENSSH, 'is not made where the directory above does not exist']],
]);

const bucket: OutsideCall[] = [
  ...rows(['adapters/vault/s3-read.ts', 'adapters/vault/s3.ts'], [
    ['S3: GetObject', 'lies', 'no Content-Length (chunked by a gateway)', 'read to the end, and held against Content-Range or the size by HEAD', [S3, 'that answers without Content-Length is read to the end']],
    ['S3: GetObject', 'cut', 'no Content-Length, and cut', 'VaultUnavailable: "ended after N of M bytes"', [S3, 'that answers without Content-Length and is cut']],
    ['S3: GetObject', 'cut', 'the connection breaks', 'VaultUnavailable; a reader that has had enough closes the connection', [S3_FAULTS, 'reads no object as whole whose connection was cut']],
    ['S3: GetObject with Range', 'lies', 'the whole object comes', 'the part is cut out', [S3, 'that sends whole objects when it is asked for a part']],
    ['S3: HeadObject', 'lies', 'no Content-Length', 'the size comes from the listing', [S3, 'also to HEAD, and without Content-Range']],
    ['S3: HeadObject', 'refused', '405, 501: a gateway lets no HEAD through', 'the listing, and GET for the mark of the writer', [S3, 'that lets no HEAD through']],
    ['S3: GetObject, HeadObject', 'lies', '200 with a log-in page, or with nothing', 'VaultUnavailable: "what answers is no S3 server"', [S3, 'in whose place something answers 200 and']],
    ['S3: DeleteObject', 'lies', '204, and nothing is removed; or 404 for what is gone', 'Refused by the check; 404 is success', [S3, 'that removes nothing, or says of what is gone']],
    ['S3: ListMultipartUploads', 'lies', 'uploads of other programs, or of living writers', 'only our own, and only after a day without a part', [S3_FAULTS, 'clears away uploads that nobody has added to for a day']],
  ]),
  ...rows(['adapters/vault/s3-list.ts', 'adapters/vault/s3-claims.ts'], [
    ['S3: ListObjectsV2', 'absent', '501, or taken for the first form of listings', 'the first form, page by page behind the last name', [S3, 'that knows listings of the first form only']],
    ['S3: ListObjectsV2', 'lies', 'the same page again and again', 'Refused: "does not list names in order"', [S3, 'that gives the same page of a listing again and again']],
    ['S3: ListObjectsV2', 'lies', '200 with nothing, or with other XML', 'VaultUnavailable, never an empty vault', [S3, 'in whose place something answers 200 and']],
    ['S3: ListObjectsV2', 'slow', 'shows what was written only later', 'Refused by the check', [S3, 'that lists what was written only later is found out by the check']],
    ['S3: claims', 'cut', 'a writer died with its claim', 'counts for nothing after a day', [S3_FAULTS, 'is not held up by a claim that its writer left behind']],
  ]),
  ...rows(['adapters/vault/s3-probe.ts', 'adapters/vault/s3-create.ts', 'adapters/vault/s3-upload.ts', 'adapters/vault/s3-checksums.ts'], [
    ['S3: If-None-Match', 'absent', '501, or ignored', 'found out by a probe: each name is claimed first', [S3_FAULTS, 'lets exactly one of 20 racing writers create a name all the same']],
    ['S3: x-amz-checksum-sha256', 'refused', '400 or 501 (older servers, gateways)', 'Content-MD5; tried once a process and at each check; the description names the header', [S3, 'that refuses x-amz-checksum-sha256 (${status}) gets Content-MD5']],
    ['S3: x-amz-checksum-sha256 and Content-MD5', 'refused', '400 for both', 'signatures alone, which cover the body', [S3, 'that refuses both checksums is written to under its signatures alone']],
    ['S3: PutObject, UploadPart', 'lies', 'bytes change on the way', 'the server compares the SHA-256 and refuses', [S3_FAULTS, 'takes no part and no object whose bytes were changed on the way']],
    ['S3: UploadPart', 'refused', '413 for 8 MiB: a proxy takes less', 'parts of 5 MiB, found out by the check', [S3, 'behind a proxy that takes 6 MiB']],
    ['S3: UploadPart, PutObject', 'refused', '413 for 5 MiB as well', 'Refused, naming client_max_body_size', [S3, 'behind a proxy that takes 1 MiB']],
    ['S3: UploadPart', 'lies', 'no ETag', 'VaultUnavailable: "a part without ETag"', [S3, 'that gives parts no ETag is named']],
    ['S3: CompleteMultipartUpload', 'lies', '200 with an error inside, not done', 'tried again', [S3, 'inside, and has not done it: tried again']],
    ['S3: CompleteMultipartUpload', 'lies', '200 with an error inside, done', 'its own, by the mark in its metadata; no Conflict', [S3, 'inside, and has done it all the same: known as its own']],
    ['S3: PutObject, CompleteMultipartUpload', 'lies', '200 with nothing or a page, done or not done', 'looked at under the name: its own, or VaultUnavailable', [S3, 'and nothing is done: that is no success']],
    ['S3: PutObject, CompleteMultipartUpload', 'cut', 'the answer gets lost', 'its own, by the mark in its metadata', [S3_FAULTS, 'knows its own object when the answer that it had been written got lost']],
    ['S3: CompleteMultipartUpload', 'lies', 'InvalidPart: parts got lost', 'VaultUnavailable: written again', [S3, 'that has lost the parts of an upload says so']],
    ['S3: PutObject', 'refused', '409: another writer at the same name', 'tried again', [S3_FAULTS, 'tries again when another writer was at the same name']],
    ['S3: PutObject', 'refused', 'full disk or quota', 'NoSpace', [PLACES, 'on a full disk fails saying how far it came']],
  ]),
  ...rows(['adapters/vault/s3-client.ts'], [
    ['S3: any call', 'refused', 'keys that are wrong or not set', 'AuthRejected, InvalidInput with the reference', [S3_FAULTS, 'says which keys are wrong, and what to do about it']],
    ['S3: any call', 'refused', '503 SlowDown', 'waits, then Busy', [S3_FAULTS, 'waits when the server asks to slow down']],
    ['S3: any call', 'refused', '301, 302, 307: another region or address', 'InvalidInput: region and endpoint', [S3, 'before which a proxy answers ${status} with a page of its own']],
    ['S3: any call', 'cut', '502, 504 and other pages of a gateway', 'VaultUnavailable with its words', [S3, 'before which a proxy answers ${status} with a page of its own']],
    ['S3: signatures', 'refused', 'RequestTimeTooSkewed: our clock is off', 'signed again with the server\'s time', [S3, 'whose clock differs by more than it bears']],
    ['S3: signatures', 'lies', 'a header is changed on the way', 'AuthRejected: SignatureDoesNotMatch', [S3_FAULTS, 'refuses a request whose signed headers were changed on the way']],
    ['S3: server, bucket', 'absent', 'nobody answers; no such bucket', 'VaultUnavailable, NotFound', [S3_FAULTS, 'says that there is no such bucket, and that nobody answers']],
    ['S3: TLS', 'lies', 'a certificate of another authority', 'TlsRejected, naming caFile', [S3_FAULTS, 'checks the server\'s certificate against the system\'s authorities']],
  ]),
  ...rows(['adapters/vault/s3-lock.ts', 'adapters/vault/s3-versions.ts'], [
    ['S3: object lock', 'absent', 'the bucket has none', 'InvalidInput at the check', [LOCK, 'is refused where the bucket has no object lock']],
    ['S3: PutObjectRetention', 'refused', 'a lock in compliance mode is never shortened', 'it stays, and that is success', [LOCK, 'leaves a lock in compliance mode one']],
    ['S3: PutObjectRetention', 'refused', 'without x-amz-checksum-sha256', 'Content-MD5', [S3, 'locks are renewed with Content-MD5']],
    ['S3: DeleteObject of versions', 'lies', 'versions that others wrote over', 'left alone', [LOCK, 'leaves alone what somebody else has overwritten']],
  ]),
];

export const STORAGE: OutsideCall[] = [...directory, ...reading, ...sftp, ...bucket];
