/** What a row of the table of outside calls is. */

/** How a call to the outside can go wrong: it is not there; it is refused; it breaks off; it takes for ever; it answers what is not so. */
export const FAULTS = ['absent', 'refused', 'cut', 'slow', 'lies'] as const;
export type Fault = (typeof FAULTS)[number];

export interface OutsideCall {
  call: string;
  /** Files under adapters/ that make it. */
  where: string[];
  fault: Fault;
  /** What is wrong with it. */
  when: string;
  /** The way round, or the sentence. */
  then: string;
  /** File, and the title of the test or as much of it as stands in the file. */
  test: [file: string, title: string];
}

type Row = [call: string, fault: Fault, when: string, then: string, test: [file: string, title: string]];

/** Rows of one kind of place. */
export function rows(where: string[], list: Row[]): OutsideCall[] {
  return list.map(([call, fault, when, then, test]) => ({ call, where, fault, when, then, test }));
}
