/** How an object is cut into parts: S3 takes 10,000 of them at most, 5 GiB each, 5 TiB in all. */
const MIB = 1 << 20;
export const SMALLEST_PART = 8 * MIB;
/** S3 itself takes no smaller ones but the last: for what passes through a proxy that takes no more. */
export const LEAST_PART = 5 * MIB;
const LARGEST_PART = 5 * 2 ** 30;
/** So many parts have the same size, which some servers like best; then each further 400 are twice as large, so that no size is out of reach. */
const EVEN_PARTS = 6_000;
const STEP = 400;
const IN_FLIGHT_BYTES = 24 * MIB;

/** Size of the first parts, for an object of which so many bytes are expected. */
export function firstPartSize(expectedBytes = 0, smallest = SMALLEST_PART): number {
  return Math.min(LARGEST_PART, Math.max(smallest, Math.ceil(expectedBytes / EVEN_PARTS / MIB) * MIB));
}

/** Size of a part by its number, which counts from 1. */
export function partSize(number: number, first: number): number {
  return number <= EVEN_PARTS ? first : Math.min(LARGEST_PART, first * 2 ** (1 + Math.floor((number - EVEN_PARTS - 1) / STEP)));
}

/** How many parts of this size may be on their way at once: memory stays a few parts. */
export function partsAtOnce(size: number): number {
  return Math.max(1, Math.floor(IN_FLIGHT_BYTES / size));
}
