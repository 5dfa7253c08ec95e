/**
 * Options laid over tasks from the settings (`taskAnnotations`): pure. Celery: `celery.app.annotations`.
 * Entries are taken in order, later ones over earlier ones; within an entry `'*'` comes first, then globs, then the
 * task's own name. A key that begins with `@` wraps a hook, or the body as `@run`.
 */
import { ImproperlyConfigured } from '../core/errors.ts';
import { isGlob, matchesGlob } from '../core/globs.ts';

/** Options of a task in camelCase or snake_case, and `@onFailure` or `@run` with a function that wraps. */
export type AnnotationOptions = Readonly<Record<string, unknown>>;

/** The task an annotation is asked about. */
export interface AnnotatedTask {
  readonly name: string;
}

type Annotate = (task: AnnotatedTask) => AnnotationOptions | null | undefined;

/** Annotations of Celery's object form. */
interface Annotator {
  readonly annotate?: Annotate;
  readonly annotateAny?: () => AnnotationOptions | null | undefined;
}

/** Options by task name, glob or `'*'`; a function of the task; or an object with `annotate(task)` and `annotateAny()`. */
export type TaskAnnotation = Readonly<Record<string, AnnotationOptions>> | Annotate | Annotator;

/** `taskAnnotations`: one entry or a list. A text names an export: `./annotations.ts:annotations`. */
export type TaskAnnotations = TaskAnnotation | string | readonly (TaskAnnotation | string)[];

type Run = (...args: never[]) => unknown;

/** A task as it was registered, or with everything laid over it. */
export interface Layered {
  readonly options: Readonly<Record<string, unknown>>;
  readonly run: Run;
}

/** @throws {ImproperlyConfigured} for an annotation that is none. Options are checked by whoever uses them. */
export function annotated(name: string, own: Layered, annotations: TaskAnnotations): Layered {
  const options: Record<string, unknown> = { ...own.options };
  let { run } = own;
  for (const layer of layersFor(name, annotations)) {
    for (const [given, value] of Object.entries(layer)) {
      if (!given.startsWith('@')) options[camelCase(given)] = value;
      else if (isBody(given)) run = wrapped(name, given, value, run);
      else {
        const hook = camelCase(given.slice(1));
        options[hook] = wrapped(name, given, value, (options[hook] ?? nothing) as Run);
      }
    }
  }
  return { options, run };
}

function layersFor(name: string, annotations: TaskAnnotations): AnnotationOptions[] {
  const entries: readonly (TaskAnnotation | string)[] = isList(annotations) ? annotations : [annotations];
  const layers = entries.flatMap((entry) => layersOf(entry, { name }));
  return layers.filter((layer): layer is AnnotationOptions => {
    if (layer === null || layer === undefined) return false;
    if (typeof layer === 'object') return true;
    throw new ImproperlyConfigured(`taskAnnotations: what is laid over '${name}' should be an object of options.`);
  });
}

function layersOf(entry: TaskAnnotation | string, task: AnnotatedTask): (AnnotationOptions | null | undefined)[] {
  if (typeof entry === 'string') {
    throw new ImproperlyConfigured(
      `taskAnnotations names '${entry}', which is loaded with the app: await app.loaded first, or give the value itself.`,
    );
  }
  if (typeof entry === 'function') return [entry(task)];
  if (isAnnotator(entry)) return [entry.annotateAny?.(), entry.annotate?.(task)];
  const keys = Object.keys(entry).filter((key) => key !== '*' && key !== task.name);
  const globs = keys.filter((key) => isGlob(key) && matchesGlob(key, task.name));
  return ['*', ...globs, task.name].map((key) => (Object.hasOwn(entry, key) ? entry[key] : undefined));
}

function wrapped(taskName: string, key: string, around: unknown, inner: Run): Run {
  const outer: unknown = typeof around === 'function' ? around(inner) : undefined;
  if (typeof outer === 'function') return outer as Run;
  throw new ImproperlyConfigured(
    `taskAnnotations: '${key}' of '${taskName}' should be a function that is given a function and returns one.`,
  );
}

function isBody(key: string): boolean {
  return key === '@run' || key === '@__call__';
}

function isAnnotator(entry: object): entry is Annotator {
  return ['annotate', 'annotateAny'].some((key) => typeof Reflect.get(entry, key) === 'function');
}

function isList(annotations: TaskAnnotations): annotations is readonly (TaskAnnotation | string)[] {
  return Array.isArray(annotations);
}

/** `rate_limit` → `rateLimit`. */
function camelCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function nothing(): void {}
