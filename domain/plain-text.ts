import { z } from 'zod';

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Text that can be shown on a terminal and put into a line of a file: without control characters, which a forged vault may hold. */
export const plainText = z.string().refine((text) => !CONTROL.test(text), 'holds control characters');

/** Besides, cannot be taken for an option of a command. */
export const plainName = plainText.refine((text) => !text.startsWith('-'), 'begins with a dash');
