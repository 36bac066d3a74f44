/** Bytes on screen: binary units. */
export function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** A span of time in the two largest units that say something: `2 h 5 min`. */
export function spanOf(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Crons by name and schedule, as people set them again by hand. */
export function cronsInWords(crons: readonly { action: string; schedule: string }[]): string {
  return crons.map(({ action, schedule }) => `${action} ("${schedule}")`).join(', ');
}
