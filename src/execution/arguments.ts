/**
 * From `args` and `kwargs` of a message to the parameters of a function.
 */
import { ArgumentsInvalid } from '../core/errors.ts';

/**
 * Without `params` a non-empty `kwargs` arrives as one trailing argument; with them each keyword finds its place and
 * a missing one arrives as undefined.
 * @throws {ArgumentsInvalid} for an unknown keyword or one given twice, unless `typing` is false.
 */
export function bindArguments(
  taskName: string,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
  options: { readonly params?: readonly string[] | undefined; readonly typing?: boolean | undefined },
): readonly unknown[] {
  const { params } = options;
  const keys = Object.keys(kwargs);
  if (params === undefined) return keys.length === 0 ? args : [...args, kwargs];
  if (options.typing !== false) {
    const unknown = keys.filter((key) => !params.includes(key));
    if (unknown.length > 0) {
      throw new ArgumentsInvalid(
        `${taskName}() got unknown keyword arguments: ${unknown.join(', ')}; its parameters are ${params.join(', ') || 'none'}.`,
      );
    }
    const twice = keys.filter((key) => params.indexOf(key) < args.length);
    if (twice.length > 0) throw new ArgumentsInvalid(`${taskName}() got several values for: ${twice.join(', ')}.`);
  }
  if (keys.length === 0) return args;
  const bound = [...args];
  for (const [index, name] of params.entries()) {
    if (index < args.length) continue;
    if (Object.hasOwn(kwargs, name)) {
      while (bound.length < index) bound.push(undefined);
      bound[index] = kwargs[name];
    }
  }
  return bound;
}
