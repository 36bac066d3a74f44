/** Turns what a schema found wrong into sentences for people. Values are never repeated: one of them may be a secret. */
import { z } from 'zod';
import { nearest } from './nearest';

export interface Mistake {
  path: readonly PropertyKey[];
  /** The path with dots, for example `clusters.prod.ucp.urls.0`; empty for the whole. */
  field: string;
  /** What was expected, for example `expected a list`. */
  problem: string;
}

/** Every mistake of a value that `schema` refused. */
export function mistakesOf(error: z.ZodError, schema: z.ZodType): Mistake[] {
  return error.issues.flatMap((issue) => mistakesOfIssue(issue, schema));
}

/** Mistakes in one sentence: `targets.0.replicaId: expected 12 hexadecimal digits`. */
export function mistakesInWords(error: z.ZodError, schema: z.ZodType): string {
  return mistakesOf(error, schema).map(({ field, problem }) => (field === '' ? problem : `${field}: ${problem}`)).join('; ');
}

function mistakesOfIssue(issue: z.core.$ZodIssue, schema: z.ZodType): Mistake[] {
  const at = (path: readonly PropertyKey[], problem: string): Mistake => ({ path, field: path.map(String).join('.'), problem });
  if (issue.code === 'unrecognized_keys') {
    const known = knownFields(schema, issue.path);
    return issue.keys.map((key) => at([...issue.path, key], unknownField(key, known)));
  }
  return [at(issue.path, expectation(issue))];
}

function unknownField(name: string, known: string[]): string {
  const guess = nearest(name, known);
  if (guess !== undefined) return `unknown field, did you mean "${guess}"?`;
  return known.length > 0 ? `unknown field, expected one of ${known.join(', ')}` : 'unknown field';
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined && issue.message.endsWith('received undefined')
        ? `is missing, expected ${article(issue.expected)}`
        : `expected ${article(issue.expected)}`;
    case 'invalid_value':
      return `expected ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'invalid_format':
      return issue.format === 'url' ? 'expected an address that begins with https://' : issue.message;
    case 'too_small':
      return issue.origin === 'number' || issue.origin === 'int' ? `expected ${String(issue.minimum)} or more` : `expected at least ${String(issue.minimum)} ${unit(issue.origin)}`;
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int' ? `expected ${String(issue.maximum)} or less` : `expected at most ${String(issue.maximum)} ${unit(issue.origin)}`;
    case 'invalid_union':
      return joinAlternatives(issue.errors);
    case 'invalid_key':
      return `the name is not allowed, ${issue.issues[0]?.message ?? 'see the documentation'}`;
    default:
      return issue.message;
  }
}

function joinAlternatives(errors: readonly (readonly z.core.$ZodIssue[])[]): string {
  const parts = errors.flatMap((issues) => issues.slice(0, 1)).map((issue) => {
    const inside = issue.path.length > 0 ? ` in its field "${issue.path.map(String).join('.')}"` : '';
    return expectation(issue).replace(/^(is missing, )?expected /, '') + inside;
  });
  return `expected ${[...new Set(parts)].join(' or ')}`;
}

function article(type: string): string {
  const names: Record<string, string> = { object: 'a section with fields', record: 'a section with names', array: 'a list', int: 'a whole number', number: 'a number', string: 'text', boolean: 'true or false' };
  return names[type] ?? type;
}

function unit(origin: string): string {
  return origin === 'string' ? 'character' : 'entry';
}

/** The names that the schema knows at a path; empty where it takes any name. */
function knownFields(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodUnion) return inner.options.flatMap((option) => knownFields(option, path));
  const [head, ...rest] = path;
  if (head === undefined) return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
  if (inner instanceof z.ZodRecord) return knownFields(inner.valueType, rest);
  if (inner instanceof z.ZodArray) return knownFields(inner.element, rest);
  if (inner instanceof z.ZodObject) {
    const field = (inner.shape as Record<string, z.core.$ZodType>)[String(head)];
    return field ? knownFields(field, rest) : [];
  }
  return [];
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodNullable) {
    return unwrap(schema.unwrap());
  }
  return schema;
}
