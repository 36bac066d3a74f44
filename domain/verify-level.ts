import { z } from 'zod';

/** How thoroughly a backup is verified. From cheap to thorough; each contains the ones before it. */
export const verifyLevel = z.enum(['L0', 'L1', 'L2', 'L3', 'L4']);
export type VerifyLevel = z.infer<typeof verifyLevel>;
