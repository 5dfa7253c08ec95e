/**
 * Standard Schema (zod, valibot, arktype …): what the options `args` and `result` of a task check and transform.
 * A schema that answers at once costs no promise. What cannot be used is thrown, never retried.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ArgumentsInvalid, type CeleryError, ResultInvalid } from '../core/errors.ts';
import type { TaskOptions } from '../task/index.ts';
import { bindArguments } from './arguments.ts';

type Named = Readonly<Record<string, unknown>>;

/**
 * The parameters of a call as the schema makes them; as they came where there is none.
 * @throws {ArgumentsInvalid} (or rejects with it) listing every issue with its path.
 */
export function checkArguments(
  taskName: string,
  options: Pick<TaskOptions, 'args' | 'params' | 'typing'>,
  args: readonly unknown[],
  kwargs: Named,
): readonly unknown[] | Promise<readonly unknown[]> {
  const bound = bindArguments(taskName, args, kwargs, options);
  if (options.args === undefined) return bound;
  const read = (checked: Checked): readonly unknown[] => {
    const value = checkedValue(checked, taskName, ArgumentsInvalid);
    if (Array.isArray(value)) return value;
    throw new ArgumentsInvalid(`${taskName}: the schema of 'args' should describe the list of parameters, a tuple.`);
  };
  return then(options.args['~standard'].validate(bound), read);
}

/** What the schema makes of a return value. @throws {ResultInvalid} (or rejects with it). */
export function checkResult(taskName: string, { result }: Pick<TaskOptions, 'result'>, value: unknown): unknown {
  if (result === undefined) return value;
  return then(result['~standard'].validate(value), (checked) => checkedValue(checked, taskName, ResultInvalid));
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

type Checked = StandardSchemaV1.Result<unknown>;

function then<T>(checked: Checked | Promise<Checked>, read: (checked: Checked) => T): T | Promise<T> {
  return isThenable(checked) ? Promise.resolve(checked).then(read) : read(checked);
}

function checkedValue(checked: Checked, taskName: string, Problem: new (message: string) => CeleryError): unknown {
  if (checked.issues === undefined) return checked.value;
  const issues = checked.issues.map(({ message, path = [] }) => {
    const keys = path.map((part) => String(typeof part === 'object' ? part.key : part));
    return keys.length === 0 ? message : `${keys.join('.')}: ${message}`;
  });
  throw new Problem(`${taskName}: ${issues.join('; ')}`);
}
