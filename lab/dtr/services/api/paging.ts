import type { ServerResponse } from 'node:http';
import { HttpError, sendJson } from '../../common/http';

const DEFAULT_PAGE = 10;
const LARGEST_PAGE = 100;

export function parsePositive(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new HttpError(400, 'INVALID_PARAMETERS', `${name} must be a whole number, not ${text}`);
  return value;
}

/** One page of a list by `pageStart` (a key) and `pageSize`; the next page's start stands in the header X-Next-Page-Start. */
export function sendPaged<T>(response: ServerResponse, url: URL, rows: T[], key: (row: T) => string, body: (page: T[]) => unknown): void {
  const size = Math.min(parsePositive(url.searchParams.get('pageSize') ?? String(DEFAULT_PAGE), 'pageSize') || DEFAULT_PAGE, LARGEST_PAGE);
  const start = url.searchParams.get('pageStart') ?? '';
  const from = start === '' ? 0 : rows.findIndex((row) => key(row) >= start);
  const rest = from < 0 ? [] : rows.slice(from);
  const next = rest[size];
  const headers: Record<string, string> = next === undefined ? {} : { 'x-next-page-start': key(next) };
  if (url.searchParams.get('count') === 'true') headers['x-resource-count'] = String(rows.length);
  sendJson(response, 200, body(rest.slice(0, size)), headers);
}
