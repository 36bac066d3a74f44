import assert from 'node:assert/strict';
import { DrydockError, type ErrorKind } from '../../domain/errors';

/** The DrydockError of this kind with which the work fails; anything else fails the test. */
export async function failure(work: Promise<unknown>, kind: ErrorKind): Promise<DrydockError> {
  const error = await work.then(() => undefined, (reason: unknown) => reason);
  assert.ok(error instanceof DrydockError, `expected a DrydockError, got ${String(error)}`);
  assert.equal(error.kind, kind, error.message);
  return error;
}
