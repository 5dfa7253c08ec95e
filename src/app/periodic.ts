/**
 * `app.addPeriodicTask`: from a schedule and a signature to an entry of the app's book.
 */
import { decodeOptions, type Signature } from '../canvas/index.ts';
import { pythonRepr } from '../message/index.ts';
import type { CatchUp, ScheduleBook, ScheduleEntryInput, ScheduleInput } from '../schedules/index.ts';
import type { CallOptions } from '../task/index.ts';

/** What `addPeriodicTask` takes besides any option of `applyAsync`. */
export interface PeriodicOptions extends CallOptions {
  /** The entry's name. Default: the call as text, `tasks.add(1, 2)`. */
  readonly name?: string | undefined;
  /** Positional arguments, in front of the signature's. */
  readonly args?: readonly unknown[] | undefined;
  readonly relative?: boolean | undefined;
  readonly catchUp?: CatchUp | undefined;
}

/** Adds the entry; gives its name, and whether it took the place of one that was there under a name nobody chose. */
export function addPeriodic(
  book: ScheduleBook,
  schedule: ScheduleInput,
  call: Signature | { readonly name: string },
  given: PeriodicOptions,
): { readonly name: string; readonly isSurprise: boolean } {
  const { name, args = [], kwargs = {}, relative, catchUp, ...options } = given;
  const map = 'task' in call ? call.toJSON() : { task: call.name, args: [], kwargs: {}, options: {}, immutable: false };
  const entry = {
    task: map.task,
    schedule,
    args: map.immutable ? map.args : [...args, ...map.args],
    kwargs: { ...map.kwargs, ...kwargs },
    options: { ...decodeOptions(map.options), ...options },
    ...(relative === undefined ? {} : { relative }),
    ...(catchUp === undefined ? {} : { catchUp }),
  } satisfies ScheduleEntryInput;
  const key = name ?? describe(entry.task, entry.args, entry.kwargs);
  const isSurprise = name === undefined && book.get(key) !== undefined;
  book.add(key, entry);
  return { name: key, isSurprise };
}

function describe(task: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): string {
  const named = Object.entries(kwargs).map(([key, value]) => `${key}=${pythonRepr(value, 256)}`);
  return `${task}(${[...args.map((value) => pythonRepr(value, 256)), ...named].join(', ')})`;
}
