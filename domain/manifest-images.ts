/** Where the images of a backup came from, and how that place is made again. */
import { z } from 'zod';
import { plainName, plainText } from './plain-text';

/** How the registry itself was told of its storage. */
const volumeStorageSchema = z.strictObject({
  kind: z.enum(['local', 'nfs', 'volume']),
  nfsUrl: plainText.optional(),
  nfsOptions: plainText.optional(),
  storageVolume: plainText.optional(),
});

export const volumeSchema = z.strictObject({
  name: plainName,
  driver: plainName,
  options: z.record(plainText, plainText),
  /** Of the volume's root directory. */
  owner: z.strictObject({ uid: z.int(), gid: z.int() }),
  mode: z.string().regex(/^[0-7]{3,4}$/),
});
export type Volume = z.infer<typeof volumeSchema>;

export const imagesSchema = z.discriminatedUnion('in', [
  z.strictObject({ in: z.literal('volume'), storage: volumeStorageSchema, volume: volumeSchema, layouts: z.array(z.enum(['sha256', 'id'])) }),
  /** They are not in this backup; `keptBy` says who looks after them. */
  z.strictObject({ in: z.literal('elsewhere'), keptBy: plainText }),
]);
export type Images = z.infer<typeof imagesSchema>;

/** The same as steps and plans carry it. */
export interface Storage extends Omit<z.infer<typeof volumeStorageSchema>, 'kind'> {
  kind: z.infer<typeof volumeStorageSchema>['kind'] | 'external';
  /** For `external`: who looks after the images. They are not in the backup. */
  external?: string;
}

const UNKNOWN_KEEPER = 'kept elsewhere';

/** As a manifest says it. Layouts are none where no image is in the backup. */
export function imagesOf({ kind, external, ...storage }: Storage, volume: Volume | null, layouts: ('sha256' | 'id')[]): Images {
  if (volume === null || kind === 'external') return { in: 'elsewhere', keptBy: external ?? UNKNOWN_KEEPER };
  const { name, driver, options, owner, mode } = volume;
  return { in: 'volume', storage: { kind, ...storage }, volume: { name, driver, options, owner, mode }, layouts };
}

export function storageOf(images: Images): Storage {
  return images.in === 'volume' ? images.storage : { kind: 'external', external: images.keptBy };
}

/** Null where the images are not in the backup. */
export function volumeOf(images: Images): Volume | null {
  return images.in === 'volume' ? images.volume : null;
}
