/**
 * Standard Schema: one way to check and transform values, whichever library made the schema.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { CeleryError } from '../core/errors.ts';

/** Checks `value` and returns what the schema makes of it. @throws {Problem} listing every issue with its path. */
export async function validate(
  schema: StandardSchemaV1,
  value: unknown,
  Problem: new (message: string) => CeleryError,
  taskName: string,
): Promise<unknown> {
  const checked = await schema['~standard'].validate(value);
  if (checked.issues === undefined) return checked.value;
  const issues = checked.issues.map((issue) => {
    const path = issue.path?.map((part) => (typeof part === 'object' ? String(part.key) : String(part))).join('.');
    return path ? `${path}: ${issue.message}` : issue.message;
  });
  throw new Problem(`${taskName}: ${issues.join('; ')}`);
}
