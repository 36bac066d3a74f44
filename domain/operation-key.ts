/**
 * A workflow id as a name for files, labels, records and staging folders. Temporal takes any id; names take far less, so an id that does not fit
 * becomes its readable beginning and a fingerprint of the whole. Two ids never share a name.
 */
const FITS = /^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/;
/** As made below: an id that looks like it is not taken as it is, or it could be another id's name. */
const MADE = /\.x[0-9a-f]{28}$/;
const READABLE = 48;

export function operationKey(workflowId: string): string {
  if (FITS.test(workflowId) && !MADE.test(workflowId)) return workflowId;
  const readable = workflowId.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/^[._-]+/, '').slice(0, READABLE);
  return `${readable === '' ? 'id' : readable}.x${fingerprint(workflowId, 1)}${fingerprint(workflowId, 2)}`;
}

/** 14 hexadecimal digits; no cryptography is at hand where workflows run, and who may start runs need not attack names. */
function fingerprint(text: string, seed: number): string {
  let [a, b] = [0xdeadbeef ^ seed, 0x41c6ce57 ^ seed];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (b >>> 0).toString(16).padStart(8, '0') + (a >>> 0).toString(16).padStart(8, '0').slice(2);
}
