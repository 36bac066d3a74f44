/** `s m h dom mon dow`, each `*`, a number, a range, a list or a step. */
const LIMITS = [
  [0, 59],
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

/** Throws a sentence when the schedule is none. */
export function parseSchedule(schedule: string): Set<number>[] {
  const fields = schedule.trim().split(/\s+/);
  if (fields.length !== 6) throw new Error(`a schedule has six fields (s m h dom mon dow), not ${fields.length}`);
  return fields.map((field, index) => parseField(field, LIMITS[index]![0], LIMITS[index]![1]));
}

function parseField(field: string, low: number, high: number): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(',')) {
    const match = /^(?:\*|\?|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part);
    if (!match) throw new Error(`"${part}" is no part of a schedule`);
    const from = match[1] === undefined ? low : Number(match[1]);
    const step = match[3] === undefined ? 1 : Number(match[3]);
    const to = match[2] !== undefined ? Number(match[2]) : match[1] === undefined || match[3] !== undefined ? high : from;
    if (from < low || to > high || from > to || step < 1) throw new Error(`"${part}" is outside ${low}-${high}`);
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return values;
}

/** First moment after `after` (UTC) that the schedule names. */
export function nextRun(schedule: string, after: Date): Date {
  const [seconds, minutes, hours, days, months, weekdays] = parseSchedule(schedule) as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>, Set<number>];
  const everyDay = days.size === 31;
  const everyWeekday = weekdays.size >= 7;
  const dayFits = (date: Date): boolean => {
    const byDate = days.has(date.getUTCDate());
    const byWeekday = weekdays.has(date.getUTCDay()) || (date.getUTCDay() === 0 && weekdays.has(7));
    // As in crontab: when both are narrowed, either will do.
    return everyDay || everyWeekday ? (everyDay || byDate) && (everyWeekday || byWeekday) : byDate || byWeekday;
  };
  const at = new Date(Math.floor(after.getTime() / 1000) * 1000 + 1000);
  const limit = at.getTime() + 5 * 366 * 86_400_000;
  while (at.getTime() < limit) {
    if (!months.has(at.getUTCMonth() + 1) || !dayFits(at)) at.setUTCHours(24, 0, 0, 0);
    else if (!hours.has(at.getUTCHours())) at.setUTCMinutes(60, 0, 0);
    else if (!minutes.has(at.getUTCMinutes())) at.setUTCSeconds(60, 0);
    else if (!seconds.has(at.getUTCSeconds())) at.setUTCSeconds(at.getUTCSeconds() + 1);
    else return at;
  }
  throw new Error('the schedule never comes');
}
