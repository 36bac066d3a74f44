/** What a manifest says of the product that was backed up: of DTR and MSR, and of the UCP that they belong to. */
import { z } from 'zod';
import { replicaId } from './contract';
import { plainName, plainText } from './plain-text';

const count = z.int().min(0);
const time = z.iso.datetime({ offset: false });
/** It is run with root's rights: nothing but a name, tag and digest. */
const imageReference = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/, 'is no image reference');

export const cronSchema = z.looseObject({
  id: plainText.optional(),
  action: plainText,
  schedule: plainText,
  retries: z.number(),
  parameters: z.unknown(),
  deadline: plainText,
});

export const replicaSchema = z.strictObject({ id: replicaId, node: plainName, httpPort: z.int(), httpsPort: z.int() });
export type Replica = z.infer<typeof replicaSchema>;

/** What the flags of `install` and `restore` set. */
export const installSettingsSchema = z.strictObject({
  externalUrl: plainText,
  httpProxy: plainText,
  httpsProxy: plainText,
  noProxy: plainText,
  logProtocol: plainText,
  logHost: plainText,
  logLevel: plainText,
  scanningEnabled: z.boolean(),
  scanningSyncOnline: z.boolean(),
  readOnlyRegistry: z.boolean(),
  /** SHA-256 of the certificate under the external URL. */
  certificateFingerprint: plainText,
});
export type InstallSettings = z.infer<typeof installSettingsSchema>;

export const dtrSchema = z.strictObject({
  kind: z.literal('dtr'),
  version: plainText,
  bootstrapperImage: imageReference,
  /** The replica whose database was read. */
  replica: replicaId,
  replicas: z.array(replicaSchema).min(1),
  settings: installSettingsSchema,
  /** As they were before the freeze. */
  crons: z.array(cronSchema),
  /** Accounts that own repositories stand in the encrypted notes. */
  ucp: z.strictObject({ url: plainText, clusterId: plainText, version: plainText }),
  /** The vendor's archive. */
  metadata: z.strictObject({ root: plainText, online: z.boolean(), tables: z.record(plainText, count), documents: count, dumpStartedAt: time, dumpEndedAt: time }),
});
export type DtrProduct = z.infer<typeof dtrSchema>;

export const productSchema = z.discriminatedUnion('kind', [dtrSchema]);
