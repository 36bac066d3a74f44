/** Lengths of time as people write them in drydock.yaml: ISO 8601 (`P30D`, `P1Y6M`, `PT12H`) or short (`30d`, `12h`, `1y6m`). */
import { z } from 'zod';

/** Calendar parts are kept apart from the rest: a month is as long as the calendar says. */
export interface Duration {
  months: number;
  /** Weeks, days, hours, minutes and seconds, in milliseconds. */
  ms: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const ISO = /^P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;
const SHORT = /^(?=.)(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)min)?(?:(\d+)s)?$/;

/** Undefined when the text is neither form. In the short form `m` is months and `min` minutes. */
export function parseDuration(text: string): Duration | undefined {
  const match = ISO.exec(text) ?? SHORT.exec(text);
  if (!match) return undefined;
  const [years, months, weeks, days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [number, number, number, number, number, number, number];
  return { months: 12 * years + months, ms: (7 * weeks + days) * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND };
}

/** The moment that lies this long before another, in UTC. A month back from the 31st ends on the last day of a shorter month. */
export function before(time: Date, duration: Duration): Date {
  return shifted(time, -duration.months, -duration.ms);
}

/** The moment that lies this long after another, in UTC. */
export function after(time: Date, duration: Duration): Date {
  return shifted(time, duration.months, duration.ms);
}

function shifted(time: Date, months: number, ms: number): Date {
  const month = time.getUTCMonth() + months;
  const lastDay = new Date(Date.UTC(time.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const moved = new Date(time);
  moved.setUTCFullYear(time.getUTCFullYear(), month, Math.min(time.getUTCDate(), lastDay));
  return new Date(moved.getTime() + ms);
}

/** A length of time in a configuration; stays the text that was written. */
export const durationText = z
  .string()
  .refine((text) => {
    const parsed = parseDuration(text);
    return parsed !== undefined && parsed.months < 12 * 1000 && parsed.ms < 1000 * 366 * DAY;
  }, 'expected a length of time like 30d, 12h, 1y6m (m is months, min minutes) or ISO 8601 like P30D');

/** Like `parseDuration`, for a text that `durationText` has passed. */
export function toDuration(text: string): Duration {
  const parsed = parseDuration(text);
  if (!parsed) throw new Error(`${text} is not a length of time`);
  return parsed;
}

/** Whether a length of time is at least a day. */
export function isADayOrMore({ months, ms }: Duration): boolean {
  return months > 0 || ms >= DAY;
}
