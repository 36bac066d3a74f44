import { z } from 'zod';
import { acceptedGapSchema } from './accepted-gaps';
import { durationText, isADayOrMore, toDuration } from './duration';
import { keepSchema } from './retention';
import { verifyLevel } from './verify-level';

/** `env:NAME` or `file:PATH`: where a secret stands. The secret itself never enters the configuration. */
export const secretRef = z
  .string()
  .regex(/^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/, 'expected env:NAME or file:PATH (a secret is named, never written here)');

/** Names that become parts of paths and workflow ids. */
export const safeName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'expected lower-case letters, digits, ".", "_" or "-"');

const loginTimeout = durationText
  .refine((text) => {
    const { months, ms } = toDuration(text);
    return months === 0 && ms >= 1_000 && ms <= 3_600_000;
  }, 'expected a length of time between 1s and 1h')
  .optional();

export const hostSchema = z.strictObject({
  /** DNS name or address for SSH. */
  address: z.string().min(1),
  port: z.int().min(1).max(65535).default(22),
  user: z.string().min(1).default('root'),
  /** Private key (OpenSSH or PEM). */
  key: secretRef.optional(),
  keyPassphrase: secretRef.optional(),
  /** `true` uses SSH_AUTH_SOCK; a string is the path of an agent socket. */
  agent: z.union([z.boolean(), z.string().min(1)]).optional(),
  /** Password that sudo asks for; sent on standard input only. Without it, sudo must not ask. */
  sudoPassword: secretRef.optional(),
  /** Name of another host of this cluster to go through. */
  jump: z.string().optional(),
  /** How long the login may take once the host has taken the call, and its login shell before each command. Default: 60s. */
  loginTimeout,
});

/** Who can open what is written, what opens it here, and who signs. */
export const encryptionSchema = z
  .strictObject({
    passphrase: secretRef.optional(),
    /** Further passphrases; each opens everything that is written. */
    passphrases: z.array(secretRef).default([]),
    /** Files of OpenPGP public keys (armoured or binary). */
    recipients: z.array(z.string()).default([]),
    /** Private keys for reading backups again; optional on a worker that only writes. */
    privateKeys: z.array(secretRef).default([]),
    privateKeyPassphrase: secretRef.optional(),
    /** Passphrases that open older backups; nothing new is written for them. */
    formerPassphrases: z.array(secretRef).default([]),
    /** Private key that signs manifests. */
    signingKey: secretRef.optional(),
    signingKeyPassphrase: secretRef.optional(),
    /** Files of public keys: a restore takes only manifests that one of them, or `signingKey`, has signed. */
    signedBy: z.array(z.string()).default([]),
  })
  .refine((e) => e.passphrase !== undefined || e.passphrases.length > 0 || e.recipients.length > 0, 'give a passphrase, recipients, or both: encryption is not optional');
/** As it is written in the file, without defaults. */
export type EncryptionConfig = z.input<typeof encryptionSchema>;

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected HH:MM (UTC)');

export const clusterSchema = z.strictObject({
  ucp: z.strictObject({
    /** Managers' own addresses first; a load balancer may cut long streams. Tried in order. */
    urls: z.array(z.url({ protocol: /^https$/ })).min(1),
    /** PEM file of UCP's CA. Absent: the system's own authorities. */
    caFile: z.string().optional(),
    username: z.string().min(1),
    password: secretRef,
    /** Client bundle: a directory or a zip. Absent: fetched once by login and kept 0600 under stateDir. */
    bundle: z.string().optional(),
    insecureSkipTlsVerify: z.boolean().default(false),
  }),
  dtr: z.strictObject({
    /** External URL of the registry. */
    url: z.url({ protocol: /^https$/ }),
    caFile: z.string().optional(),
    insecureSkipTlsVerify: z.boolean().default(false),
  }),
  /** With `images: docker`, a backup needs neither this nor `hosts`; a restore does. */
  ssh: z.strictObject({ knownHosts: z.string() }).optional(),
  /** By Swarm host name. */
  hosts: z.record(z.string(), hostSchema).default({}),
  vault: safeName,
  /** Further vaults, each filled from `vault` after a backup. */
  copies: z.array(safeName).default([]),
  encryption: encryptionSchema,
  approvers: z.array(z.string().min(1)).min(1),
  /** What tags lack in the registry itself, and that people have accepted: a backup that lacks nothing else is complete. */
  acceptGaps: z.array(acceptedGapSchema).default([]),
  /** Which backups are kept. Absent: all. */
  keep: keepSchema.optional(),
  retention: z
    .strictObject({
      /** How long what was given up stays before it is removed: longer than any backup may run. */
      hold: durationText.refine((text) => isADayOrMore(toDuration(text)), 'expected a day or more: no backup may run longer than the hold').default('7d'),
      /** From which dead share on a segment is written anew for the backups to come. */
      repack: z.union([z.literal('off'), z.number().min(0.1).max(0.99)]).default(0.5),
    })
    .prefault({}),
  /** How a backup reads the registry volume: over SSH, from a helper container through the Docker API, or not at all. */
  images: z
    .union([z.literal('ssh'), z.literal('docker'), z.strictObject({ external: z.string().min(1) })])
    .default('ssh'),
  bootstrapper: z
    .strictObject({
      /** Overrides the image found from the running replica, without the tag. */
      image: z.string().optional(),
      /** Adds `--security-opt label=disable` on hosts with SELinux. */
      disableSelinuxLabel: z.boolean().default(false),
      ignoreEventsTable: z.boolean().default(false),
      ignoreScanData: z.boolean().default(false),
    })
    .prefault({}),
  policy: z
    .strictObject({
      freeze: z.enum(['crons', 'readOnly']).default('crons'),
      /** Garbage collection after a restore waits behind the `release` gate. */
      releaseGate: z.boolean().default(true),
      /** Largest plain size of one segment. */
      segmentBytes: z.int().min(1 << 20).max(2 ** 31 - 2 ** 20).default(256 * 1024 * 1024),
      /** How many streams read and encrypt images side by side. Default: one for each core of the worker, four at most. */
      streams: z.int().min(1).max(4).optional(),
      /** How fast images may be read, and copies filled; the first rule whose span (UTC) holds counts. Absent: as fast as they come. */
      bandwidth: z
        .array(
          z
            .strictObject({ mibPerSecond: z.number().positive(), from: timeOfDay.optional(), to: timeOfDay.optional() })
            .refine((rule) => (rule.from === undefined) === (rule.to === undefined), 'give both from and to, or neither'),
        )
        .default([]),
      /** Priority of our commands on the hosts, for processor and disk. */
      nice: z.int().min(0).max(19).default(0),
      ionice: z.enum(['none', 'low', 'idle']).default('none'),
      /** How thoroughly each new backup is verified; `off`: not at all. */
      verify: z.union([z.literal('off'), verifyLevel]).default('L2'),
      /** A stream on which nothing moves for this long is an error. */
      stallSeconds: z.int().min(5).default(120),
      /** Putting something back (crons, containers) is tried again and again: after so long it is a warning, after so long it is given up. */
      putBack: z.strictObject({ warnAfterSeconds: z.int().min(1).default(600), giveUpAfterDays: z.number().positive().default(7) }).prefault({}),
      /** How long `restore` waits for the new replica to be healthy. */
      healthSeconds: z.int().min(10).default(600),
      /** The vendor's offline database file for sites without a way to the internet. */
      vulnerabilityDatabaseFile: z.string().optional(),
      /**
       * Image for the helper container that holds a mount open (must contain `sleep`) or reads images (`images: docker`: a shell, GNU tar, find, xargs and sha256sum).
       * Default: the bootstrapper's.
       */
      helperImage: z.string().optional(),
    })
    .prefault({}),
}).superRefine(({ images, ssh, hosts }, context) => {
  const hasHosts = Object.keys(hosts).length > 0;
  if (images === 'ssh' && !hasHosts) context.addIssue({ code: 'custom', path: ['hosts'], message: 'is missing, expected a section with names (a backup without SSH: images: docker)' });
  if ((images !== 'docker' || hasHosts) && ssh === undefined) context.addIssue({ code: 'custom', path: ['ssh'], message: 'is missing, expected a section with fields' });
});

/** A login on an SFTP server; the same words as for a host. */
const sftpServer = {
  address: z.string().min(1),
  port: z.int().min(1).max(65535).default(22),
  user: z.string().min(1),
  key: secretRef.optional(),
  keyPassphrase: secretRef.optional(),
  agent: z.union([z.boolean(), z.string().min(1)]).optional(),
  loginTimeout,
};

export const sftpSchema = z.strictObject({
  ...sftpServer,
  /** Go through this server. */
  jump: z.strictObject(sftpServer).optional(),
  /** File with the server's host key; always checked. */
  knownHosts: z.string().min(1),
  /** Directory on the server; made when only its last part is missing. */
  path: z.string().min(1),
});

/** Requests are signed and content is encrypted, but manifests and indexes are not: so plain HTTP is for this machine only. */
const s3Endpoint = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !text.startsWith('http:') || /^http:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?\/?$/.test(text), 'expected an https address (plain http only to this machine itself)');

export const s3Schema = z
  .strictObject({
    bucket: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/, 'expected the name of a bucket'),
    /** Folder in the bucket. */
    prefix: z.string().max(100).regex(/^[A-Za-z0-9_][A-Za-z0-9._+:@=-]*(\/[A-Za-z0-9_][A-Za-z0-9._+:@=-]*)*\/?$/, 'expected a folder such as drydock or backups/drydock').optional(),
    /** Absent: as the environment says; with an endpoint of its own us-east-1. */
    region: z.string().min(1).optional(),
    /** Absent: AWS. */
    endpoint: s3Endpoint.optional(),
    /** The bucket stands in the path, not in the host's name. Default: where an endpoint is given. */
    forcePathStyle: z.boolean().optional(),
    /** PEM file of the authority that signed the server's certificate. */
    caFile: z.string().optional(),
    /** Absent: environment, profile, instance or container, as the AWS SDK looks for them. */
    accessKeyId: secretRef.optional(),
    secretAccessKey: secretRef.optional(),
    sessionToken: secretRef.optional(),
    /** Locks each object for so many days from the time it is written, or last needed. */
    objectLock: z.strictObject({ mode: z.enum(['governance', 'compliance']), days: z.int().min(1).max(36_500) }).optional(),
  })
  .refine((s3) => (s3.accessKeyId === undefined) === (s3.secretAccessKey === undefined), 'give both accessKeyId and secretAccessKey, or neither')
  .refine((s3) => s3.sessionToken === undefined || s3.accessKeyId !== undefined, 'sessionToken goes with accessKeyId and secretAccessKey');

export const vaultSchema = z
  .strictObject({
    /** A disk, or a mount of one. */
    directory: z.string().min(1).optional(),
    sftp: sftpSchema.optional(),
    s3: s3Schema.optional(),
  })
  .refine((vault) => Object.values(vault).filter((place) => place !== undefined).length === 1, 'say where it is: exactly one of directory, sftp, s3');

export const configSchema = z.strictObject({
  temporal: z
    .strictObject({
      address: z.string().default('127.0.0.1:7233'),
      namespace: z.string().default('default'),
      taskQueue: z.string().default('drydock'),
      /** For links that people click. */
      uiUrl: z.string().default('http://127.0.0.1:8233'),
    })
    .prefault({}),
  /** Working files, bundles, the development server's database. Relative paths are relative to this file. */
  stateDir: z.string().default('.drydock'),
  vaults: z.record(safeName, vaultSchema),
  clusters: z.record(safeName, clusterSchema),
});

/** Configuration after parsing and with every relative path made absolute (see worker/config.ts). */
export type Config = z.infer<typeof configSchema>;
export type ClusterConfig = z.infer<typeof clusterSchema>;
export type HostConfig = z.infer<typeof hostSchema>;
export type VaultConfig = z.infer<typeof vaultSchema>;
export type SftpConfig = z.infer<typeof sftpSchema>;
export type S3Config = z.infer<typeof s3Schema>;
