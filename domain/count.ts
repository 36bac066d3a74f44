/** A number and its noun: `1 tag`, `2 tags`, `0 repositories`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
