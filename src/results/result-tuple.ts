/**
 * Handles as they travel (celery-protocol.md section 8), read back: `[[id, parent], null]` is a task, members in place of
 * null make a group, and a plain id is a task too. What a peer sent is checked before it is believed.
 */
import { DecodeError } from '../core/errors.ts';
import type { AnyResult, ResultHost } from './any-result.ts';
import { AsyncResult } from './async-result.ts';
import { GroupResult } from './group-result.ts';

// Groups in groups are rare and chains of parents long: the first is bounded as recursion, the second as a loop.
const maxGroupDepth = 100;
const maxParents = 100_000;

/**
 * The handle a tuple or an id stands for. Celery: `result_from_tuple`.
 *
 * @throws {DecodeError} when it is neither
 * @example const child = resultFromTuple([['0e7c…', null], null], app);
 */
export function resultFromTuple(given: unknown, host: ResultHost): AnyResult {
  return fromTuple(given, host, 0);
}

function fromTuple(given: unknown, host: ResultHost, depth: number): AnyResult {
  if (depth > maxGroupDepth) throw new DecodeError(`A result tuple nests groups deeper than ${maxGroupDepth}.`);
  const line: { id: string; members: readonly unknown[] | undefined }[] = [];
  for (let next: unknown = given; next !== undefined && next !== null; ) {
    if (line.length > maxParents) throw new DecodeError(`A result tuple has more than ${maxParents} parents.`);
    const { id, parent, members } = parts(next);
    line.push({ id, members });
    next = parent;
  }
  let result: AnyResult | undefined;
  for (const { id, members } of line.reverse()) {
    const parent: { parent?: AnyResult } = result === undefined ? {} : { parent: result };
    result =
      members === undefined
        ? new AsyncResult(id, host, parent)
        : new GroupResult(
            id,
            members.map((member) => fromTuple(member, host, depth + 1)),
            host,
            parent,
          );
  }
  if (result === undefined) throw notATuple(given);
  return result;
}

function parts(given: unknown): { id: string; parent: unknown; members: readonly unknown[] | undefined } {
  if (typeof given === 'string' && given !== '') return { id: given, parent: undefined, members: undefined };
  if (!Array.isArray(given) || given.length !== 2) throw notATuple(given);
  const [head, members]: unknown[] = given;
  const [id, parent]: unknown[] = Array.isArray(head) ? head : [head, null];
  if (typeof id !== 'string' || id === '') throw notATuple(given);
  if (members !== null && members !== undefined && !Array.isArray(members)) throw notATuple(given);
  return { id, parent: parent ?? undefined, members: members ?? undefined };
}

function notATuple(given: unknown): DecodeError {
  const shown = Array.isArray(given) ? `a list of ${given.length}` : `a value of type ${typeof given}`;
  return new DecodeError(`Not a result tuple but ${shown}. Expected [[id, parent or null], null or [members]].`);
}
