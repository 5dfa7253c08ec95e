/**
 * From a body and its schemas to the type of a task: callers give what the `args` schema takes, the body gets what it
 * makes of that, and results are what the `result` schema makes of the return value. Without schemas the function's
 * own types count.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { BoundTask } from './bound-task.ts';
import type { Task, TaskFunction } from './task.ts';
import type { TaskBase } from './task-base.ts';

/** A schema, or none. */
export type MaybeSchema = StandardSchemaV1 | undefined;

/** What a schema takes, as a list of parameters. */
type Given<A> = A extends StandardSchemaV1<infer In extends readonly unknown[], unknown> ? OptionalTail<In> : unknown[];

/** Parameters at the end that may be undefined may be left out, whether or not the library types them so. */
type OptionalTail<P extends readonly unknown[]> = P extends readonly [...infer Head, infer Last]
  ? unknown extends Last
    ? [...P]
    : undefined extends Last
      ? [...OptionalTail<Head>, Last?]
      : [...P]
  : [...P];

/** What a schema makes of it, as a list of parameters; anything where there is no schema. */
type Received<A> = A extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<A> extends infer Out extends readonly unknown[]
    ? Out
    : never[]
  : never[];

/** What a body may return. */
type Returnable<R> = R extends StandardSchemaV1
  ? StandardSchemaV1.InferInput<R> | PromiseLike<StandardSchemaV1.InferInput<R>>
  : unknown;

/** A body that fits the schemas. */
export type BodyFor<A extends MaybeSchema, R extends MaybeSchema> = (...args: Received<A>) => Returnable<R>;

/** A body with `self` in front that fits the schemas. */
export type BoundBodyFor<A extends MaybeSchema, R extends MaybeSchema> = (
  self: BoundTask,
  ...args: Received<A>
) => Returnable<R>;

type ResultOf<F extends TaskFunction, R> = R extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<R>
  : Awaited<ReturnType<F>>;

/** What a direct call gives: a promise where the body does. */
type ReturnedOf<F extends TaskFunction, R> = R extends StandardSchemaV1
  ? ReturnType<F> extends PromiseLike<unknown>
    ? Promise<StandardSchemaV1.InferOutput<R>>
    : StandardSchemaV1.InferOutput<R>
  : ReturnType<F>;

type Rest<P extends readonly unknown[]> = P extends readonly [unknown?, ...infer Others] ? Others : never;

/** The task that a function makes. */
export type TaskOf<F extends TaskFunction, A extends MaybeSchema = undefined, R extends MaybeSchema = undefined> = Task<
  A extends StandardSchemaV1 ? Given<A> : Parameters<F>,
  ResultOf<F, R>,
  ReturnedOf<F, R>
>;

/** The task that a function with `self` in front makes. */
export type BoundTaskOf<
  F extends (self: BoundTask, ...args: never) => unknown,
  A extends MaybeSchema = undefined,
  R extends MaybeSchema = undefined,
> = Task<A extends StandardSchemaV1 ? Given<A> : Rest<Parameters<F>>, ResultOf<F, R>, ReturnedOf<F, R>>;

type SchemaIn<T> = [T] extends [StandardSchemaV1] ? T : undefined;

/** The task that a class makes. */
export type ClassTaskOf<T extends TaskBase> = TaskOf<T['run'], SchemaIn<T['args']>, SchemaIn<T['result']>>;
