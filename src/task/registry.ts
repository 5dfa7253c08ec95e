/**
 * The tasks of one app by name. A name such as `__proto__` is a name like any other, and not registered.
 */
import { AlreadyRegistered, NotRegistered } from '../core/errors.ts';
import type { AnyTask } from './task.ts';

/** Celery: `app.tasks`. */
export class TaskRegistry implements Iterable<[string, AnyTask]> {
  readonly #tasks = new Map<string, AnyTask>();

  /** @throws {AlreadyRegistered} when another task has the name. */
  register(task: AnyTask): void {
    const known = this.#tasks.get(task.name);
    if (known !== undefined && known !== task) {
      throw new AlreadyRegistered(
        `A task named '${task.name}' is registered already; give this one another name, or unregister the first with app.tasks.unregister('${task.name}').`,
      );
    }
    this.#tasks.set(task.name, task);
  }

  /** @throws {NotRegistered} */
  unregister(name: string): void {
    if (!this.#tasks.delete(name)) throw new NotRegistered(name, this.#tasks.keys());
  }

  get(name: string): AnyTask | undefined {
    return this.#tasks.get(name);
  }

  has(name: string): boolean {
    return this.#tasks.has(name);
  }

  get size(): number {
    return this.#tasks.size;
  }

  /** All names, sorted. */
  names(): string[] {
    return [...this.#tasks.keys()].sort();
  }

  [Symbol.iterator](): Iterator<[string, AnyTask]> {
    return this.#tasks[Symbol.iterator]();
  }
}
