/**
 * The tasks every worker has: peers and canvases send them by name.
 */
import { NotRegistered } from '../core/errors.ts';
import type { Celery } from './celery.ts';

/** Registers Celery's own tasks on an app. */
export function addBuiltinTasks(app: Celery): void {
  const callEach = (signature: { task: string }, calls: readonly (readonly unknown[])[]): Promise<unknown[]> => {
    const task = app.tasks.get(signature.task);
    if (task === undefined) throw new NotRegistered(signature.task, app.tasks.names());
    return inOrder(calls, (args) => app.callDirectly(task, args));
  };
  type Signature = { task: string };

  // `replace` by a group asks for one of the results: kwargs `{ index }`.
  app.task('celery.accumulate', (...given: unknown[]) => {
    const last = given.at(-1);
    if (!isIndex(last)) return given;
    return given.slice(0, -1)[last.index];
  });
  app.task('celery.map', { params: ['task', 'it'] }, (task: Signature, it: unknown[]) =>
    callEach(
      task,
      it.map((item) => [item]),
    ),
  );
  app.task('celery.starmap', { params: ['task', 'it'] }, (task: Signature, it: unknown[][]) => callEach(task, it));
  // Results that end by themselves (x-expires, SETEX) need no cleaning.
  app.task('celery.backend_cleanup', () => null);
}

async function inOrder<In>(items: readonly In[], run: (item: In) => unknown): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}

function isIndex(value: unknown): value is { index: number } {
  return typeof value === 'object' && value !== null && Object.keys(value).join() === 'index';
}
