/** How fast a host may be read, by the time of day. */

export interface BandwidthRule {
  mibPerSecond: number;
  /** `HH:MM`, UTC. Without both: all day. A span may pass midnight. */
  from?: string;
  to?: string;
}

const MINUTES_A_DAY = 24 * 60;

/** Bytes per second at that moment: the first rule whose span holds it; null means no limit. `at` is milliseconds since 1970. */
export function bandwidthAt(rules: readonly BandwidthRule[], at: number): number | null {
  const minute = Math.floor(at / 60_000) % MINUTES_A_DAY;
  const rule = rules.find(({ from, to }) => from === undefined || to === undefined || isWithin(minute, minutes(from), minutes(to)));
  return rule ? rule.mibPerSecond * 1024 * 1024 : null;
}

function isWithin(minute: number, from: number, to: number): boolean {
  return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
}

function minutes(time: string): number {
  const [hours, rest] = time.split(':').map(Number);
  return (hours ?? 0) * 60 + (rest ?? 0);
}
