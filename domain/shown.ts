/** Sentences for a report, of which there may be one for every segment of a vault: the first `most`, and how many more there are. */
export function firstOf(sentences: readonly string[], most: number): string[] {
  return sentences.length <= most ? [...sentences] : [...sentences.slice(0, most), `And ${sentences.length - most} more like these.`];
}
